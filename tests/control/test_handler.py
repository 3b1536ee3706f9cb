"""Answers of one engine to requests: its live calls, and requests to resources of its nodes."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from flowcore import Config, Resource
from flowcore.control.handler import engine_handler
from flowcore.engine.engine import Engine
from flowcore.testing import run_plan
from tests.engine.nodes import Keep, KeepInThread, Tones, plan, step


class Meter(Resource):
    """Answers the request "level", and knows no other."""

    def open(self) -> None:
        self.level = 3

    def on_control_request(self, request: Mapping[str, Any]) -> Any:
        if request["ask"] != "level":
            raise LookupError(request["ask"])
        return self.level


class Metered(Keep):
    """A sink with a meter."""

    @classmethod
    def make_resource(cls, config: Config) -> Resource:
        return Meter()


Metered.name = "metered"


def in_slot(number: int, *requests: dict[str, str]) -> list[Any]:
    """Answers to requests made in the n-th slot of two calls of 1 s."""
    answers: list[Any] = []

    def prepare(engine: Engine) -> None:
        handler = engine_handler(engine)

        def poll() -> None:
            if engine.slots.count == number:
                for request in requests:
                    with ThreadPoolExecutor(1) as thread:  # the engine's loop is in this slot, so another one asks
                        answer = thread.submit(asyncio.run, handler(request))
                    answers.append(answer.exception() or answer.result())

        engine.slots.every(poll)

    steps = [step("call", Tones, sessions=2, pace=True), step("wav", KeepInThread, "call"), step("m", Metered, "call")]
    run_plan(plan(*steps), prepare=prepare)
    return answers


def test_live_calls_are_listed_with_what_they_lost_and_queue():
    ((first, second),) = in_slot(10, {"ask": "calls"})
    assert (first["call_id"], second["call_id"]) == ("0", "1")
    assert first["flow"] != second["flow"]
    assert (first["state"], first["lost_ms"]) == ("running", 0)
    assert first["queue_ms"] == 20
    assert first["since"] == "2026-01-02T03:04:05+00:00"


def test_a_request_goes_to_the_resource_that_knows_it_and_is_refused_if_none_does():
    level, error = in_slot(10, {"ask": "level"}, {"ask": "temperature"})
    assert level == 3
    assert isinstance(error, LookupError)


def test_a_tap_on_a_call_that_is_gone_has_no_answer():
    assert in_slot(10, {"ask": "tap", "flow": "gone", "node": ""}) == [None]


def test_a_handler_answers_beside_the_event_loop():
    engine = Engine(plan(step("call", Tones), step("wav", Keep, "call")))
    assert asyncio.run(_ask(engine, {"ask": "calls"})) == []
    with pytest.raises(LookupError):
        asyncio.run(_ask(engine, {"ask": "level"}))


async def _ask(engine: Engine, request: dict[str, str]) -> Any:
    return await engine_handler(engine)(request)
