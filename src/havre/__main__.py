"""`python -m havre` is the `havre` command."""

from havre.cli.main import main

main()
