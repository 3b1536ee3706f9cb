"""Control of a running flowcore from another process, on a local socket that only this user can open."""

from flowcore.control.address import running
from flowcore.control.call_request import control_call
from flowcore.control.client import all_calls, ask, find_call, only_running
from flowcore.control.run_request import drain_run, reload_run
from flowcore.control.set_request import WrongSettings, set_of_all, set_of_call
from flowcore.control.tap_connection import TapConnection

__all__ = [
    "TapConnection",
    "WrongSettings",
    "all_calls",
    "ask",
    "control_call",
    "drain_run",
    "find_call",
    "only_running",
    "reload_run",
    "running",
    "set_of_all",
    "set_of_call",
]
