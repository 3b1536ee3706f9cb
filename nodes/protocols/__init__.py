"""Parsers without I/O: bytes in, events out."""
