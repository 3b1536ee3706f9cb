"""Transcript files: their journal, formats and metadata."""
