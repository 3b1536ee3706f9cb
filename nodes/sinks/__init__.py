"""Nodes where a stream ends."""
