"""Measures graphs under load: a receiver and its callers in processes of their own, and a search for the most calls."""
