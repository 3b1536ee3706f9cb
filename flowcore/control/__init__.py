"""Asking a running flowcore, from beside it: what it holds, on a socket that only this user can open."""

from flowcore.control.address import running
from flowcore.control.client import all_calls, ask, find_call, the_one
from flowcore.control.tap_connection import TapConnection

__all__ = ["TapConnection", "all_calls", "ask", "find_call", "running", "the_one"]
