"""Decisions as pure functions: what was asked and what is observed go in, a plan with reasons comes out (I6)."""
