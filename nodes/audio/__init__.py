"""Filters that nodes use: arithmetic on samples in a stream, and no node."""
