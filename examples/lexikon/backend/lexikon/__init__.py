"""Lexikon's API: words and their meanings, and the people who read them."""
