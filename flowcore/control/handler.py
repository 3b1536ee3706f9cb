"""Answers of one engine to control requests, from state it holds anyway, given in a thread beside its event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from flowcore import open_files
from flowcore.call_ids import match
from flowcore.control.call_control import answer as control_call
from flowcore.control.live_calls import LiveCalls, describe
from flowcore.control.live_config import LiveConfig
from flowcore.control.live_query import LiveQuery
from flowcore.control.taps import Taps
from flowcore.control.work_records import WorkRecords
from flowcore.engine.engine import Engine
from flowcore.telemetry.calls_until_full import CapacityEstimate
from flowcore.telemetry.engine_metrics import read
from flowcore.telemetry.exemplars import Exemplars

ANSWER_TIMEOUT = 2.0
"""Seconds that a handler has to answer."""

ControlHandler = Callable[[Mapping[str, Any]], Awaitable[Any]]
"""Answers a request, or raises `LookupError` when the request is for something unknown."""


def engine_handler(engine: Engine) -> ControlHandler:
    """Return the control handler of an engine in this process."""
    taps, live, live_config = Taps(engine), LiveCalls(engine), LiveConfig(engine)
    records = WorkRecords(engine)
    exemplars, capacity = Exemplars(engine), CapacityEstimate(engine)

    def answer(request: Mapping[str, Any]) -> Any:
        if request["ask"] == "calls":
            return calls(engine, request.get("name", ""))
        if request["ask"] == "live_ranks":
            return live.ranks(LiveQuery.parse(request))
        if request["ask"] == "live_rows":
            return live.rows(request["flows"], request["levels"])
        if request["ask"] == "live_call":
            return live.call(str(request.get("flow")))
        if request["ask"] == "metrics":
            files = open_files.room()
            samples = read(engine, files)
            exemplars.add_to(samples)
            samples.add(capacity.read(files).samples())
            return samples.to_message()
        if request["ask"] == "capacity":
            return capacity.read().json()
        if request["ask"] == "not_ready":
            return engine.objection or engine.obstacle
        if request["ask"] == "tap":
            return taps.open(request)
        if request["ask"] == "work_record":
            return records.answer(request)
        for resource in engine.resources():
            with suppress(LookupError):
                return resource.on_control_request(request)
        raise LookupError(request["ask"])

    async def handle(request: Mapping[str, Any]) -> Any:
        if request["ask"] == "control_call":
            return control_call(engine, request)  # in the loop's thread, between two chunks
        if request["ask"] == "set_fields":
            return await live_config.answer(request)
        return await asyncio.to_thread(answer, request)

    return handle


async def ask_all(
    handlers: Mapping[int, ControlHandler], request: Mapping[str, Any]
) -> tuple[dict[int, Any], list[int]]:
    """Ask all handlers at once. Returns the answers by worker, and the workers that gave none in time.

    Raises `LookupError` when one does not know the request.
    """
    given = await asyncio.gather(
        *(asyncio.wait_for(ask(request), ANSWER_TIMEOUT) for ask in handlers.values()), return_exceptions=True
    )
    replies = dict(zip(handlers, given, strict=True))
    for reply in given:
        if isinstance(reply, LookupError):
            raise reply
    answers = {number: reply for number, reply in replies.items() if not isinstance(reply, BaseException)}
    return answers, sorted(replies.keys() - answers.keys())


def calls(engine: Engine, name: str = "") -> list[dict[str, Any]]:
    """List the live calls: see `flowcore.control.live_calls.describe`.

    With a ``name``, each has its `flowcore.call_ids.Match`.
    """
    return [
        {
            **describe(flow, flow.losses()),
            **({"match": match(name, (flow.id, flow.call_id, *flow.session.ids))} if name else {}),
        }
        for flow in tuple(engine.flows.values())
    ]
