"""Recordings: the growing file, its journal, its metadata, its containers. No nodes."""
