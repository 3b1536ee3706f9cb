"""Asking a running flowcore, from beside it: what it holds, on a socket that only this user can open."""
