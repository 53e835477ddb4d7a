"""Symbolic music generation that works from a shell."""

__version__ = "0.1.0"
