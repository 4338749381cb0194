"""Secrets: sealed with age in the state directory, generated, imported, rotated, and never shown (D16, I9)."""
