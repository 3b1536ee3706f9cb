"""What one engine says when it is asked: from what it holds anyway, in a thread beside its event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from flowcore.control.taps import Taps
from flowcore.engine.engine import Engine

ControlHandler = Callable[[Mapping[str, Any]], Awaitable[Any]]
"""Answers a request; `LookupError` when it does not know what is asked for."""


class Answers:
    """What one engine says; called from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._taps = Taps(engine)

    def __call__(self, request: Mapping[str, Any]) -> Any:
        """The answer to ``request``. Raises `LookupError`."""
        if request["ask"] == "calls":
            return calls(self._engine)
        if request["ask"] == "tap":
            return self._taps.open(request)
        for part in self._engine.resources():
            with suppress(LookupError):
                return part.on_control_request(request)
        raise LookupError(request["ask"])


def calls(engine: Engine) -> list[dict[str, Any]]:
    """The live calls: flow, call id, beginning, state, audio dropped so far and now in queues (ms of their streams)."""
    return [
        {
            "flow": flow.id,
            "call_id": flow.session.attributes.get("call_id", ""),
            "since": flow.session.started.isoformat(timespec="seconds"),
            "state": flow.state,
            "dropped_ms": round(flow.lost() * 1000),
            "queue_ms": round(flow.queued() * 1000),
        }
        for flow in tuple(engine.flows.values())
    ]


def holder(engine: Engine) -> ControlHandler:
    """The holder for an engine of this process."""

    answers = Answers(engine)

    async def ask(request: Mapping[str, Any]) -> Any:
        return await asyncio.to_thread(answers, request)

    return ask
