"""Runs a plan in several processes: a supervisor, its workers, and the limits and messages that they share."""
