"""Where flows begin: listeners."""
