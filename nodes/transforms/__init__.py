"""Nodes with one input and one or more outputs."""
