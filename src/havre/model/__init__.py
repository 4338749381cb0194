"""The vocabulary: frozen data that every other room speaks, with no I/O, no clock and no randomness."""
