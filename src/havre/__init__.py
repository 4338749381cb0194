"""Havre: a deployment guide, made executable."""

__version__ = "0.1.0"
