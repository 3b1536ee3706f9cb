"""Shared by tests: real callers, running engines, ports, and nodes made for tests."""
