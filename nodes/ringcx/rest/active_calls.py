"""Requests that switch RingCX's own recording of a running call, and put the call on hold."""

from __future__ import annotations

from dataclasses import dataclass

from nodes.ringcx.rest.ids import path_segment
from nodes.ringcx.rest.platform import Request
from nodes.ringcx.rest.rate_limit import CONTROLS

PATH = "/voice/api/v1/admin/accounts"


@dataclass(frozen=True)
class ActiveCall:
    """A running call by its UII, in the sub-account that has it."""

    uii: str
    sub_account: str

    def __str__(self) -> str:
        return f"call {self.uii}"


def record(call: ActiveCall, on: bool) -> Request:
    """Start or stop RingCX's own recording; streams go on. Raises `UsageError` for an impossible id."""
    return _request(call, f"toggleCallRecording?record={'true' if on else 'false'}")


def hold(call: ActiveCall, on: bool) -> Request:
    """Put the call on hold, or take it off hold. Raises `UsageError` for an impossible id."""
    return _request(call, f"toggleCallHold?state={'ON' if on else 'OFF'}")


def _request(call: ActiveCall, action: str) -> Request:
    account = path_segment("sub-account id", call.sub_account)
    explanations = {
        400: "it rejects the request: check the ids",
        403: f"this user may not control calls of sub-account {call.sub_account}: give the user of the JWT the rights "
        "of a supervisor there",
        404: f"{call} does not run: it is over, or the id is of something else, such as the dialog; a UII has only "
        "digits",
    }
    unknown = "the change may have been made: ask the agent before you try again"
    path = f"{PATH}/{account}/activeCalls/{path_segment('UII', call.uii)}/{action}"
    return Request("POST", path, None, explanations, unknown, CONTROLS)
