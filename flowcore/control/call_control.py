"""The process's side of `flowcore.control.call_request`: changes the flows of one call.

`answer` runs in the event loop's thread: no chunk that comes after the answer passes unsilenced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

from flowcore.diagnostics import listed, printable
from flowcore.engine.engine import Engine
from flowcore.engine.flow import OPERATOR, Flow
from flowcore.errors import UsageError

Action = Literal["end", "pause", "resume", "mute", "unmute"]
ACTIONS: Final = get_args(Action)
OF_PARTY: Final = ("mute", "unmute")
"""Actions that need a party."""


def answer(engine: Engine, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """Do what a request asks with the flows of this engine; None when it has none of the call."""
    action, party, call_id = str(request.get("do")), str(request.get("party", "")), request.get("call_id")
    if action not in ACTIONS:
        return {"error": f"unknown action {action!r}: choose {listed(ACTIONS, 'or')}"}
    flows = [
        flow
        for flow in tuple(engine.flows.values())
        if not flow.ended and (flow.call_id == call_id if call_id else flow.id == request.get("flow"))
    ]
    if not flows:
        return None
    try:
        check_party(action, party)
        changed = _end(flows) if action == "end" else _silence(engine, flows, action, party)
    except UsageError as error:
        return {"error": str(error)}
    silencing = flows[0].silencing
    return {
        "changed": changed,
        "paused": silencing.paused,
        "muted": sorted(silencing.muted),
        "parties": _parties(flows),
    }


def _end(flows: list[Flow]) -> bool:
    for flow in flows:
        flow.end(OPERATOR)
    return True


def _silence(engine: Engine, flows: list[Flow], action: str, party: str) -> bool:
    """Change what is silenced of the call. Returns False if it was so already. Raises `UsageError`."""
    silencing = flows[0].silencing
    parties = _parties(flows)
    if action in OF_PARTY and party not in parties and party not in silencing.muted:
        known = f"its parties are {listed(parties)}" if parties else "none of its parties has sent audio yet"
        raise UsageError(f"the call has no party {printable(party)!r}: {known}; pause silences all")
    paused = action == "pause" or (silencing.paused and action != "resume")
    muted = silencing.muted | {party} if action == "mute" else silencing.muted - {party}
    if not engine.silenced.set(flows[0].call_id, silencing, paused, muted):
        return False
    for flow in flows:
        flow.report_silencing()
    return True


def _parties(flows: list[Flow]) -> list[str]:
    return sorted({party for flow in flows for party in flow.parties})


def check_party(action: str, party: str) -> None:
    """Raise `UsageError` if the action needs a party and has none, or the reverse."""
    if action in OF_PARTY and not party:
        raise UsageError(f"say which party to {action}, such as: {action} customer")
    if action not in OF_PARTY and party:
        raise UsageError(f"{action} is for the whole call: leave out {printable(party)!r}, or mute that party")
