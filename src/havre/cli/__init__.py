"""The command line: flags in, workflows called, text out; no logic of its own."""
