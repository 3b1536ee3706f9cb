"""The resource of a streaming engine and its fallback: opened and closed together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import TypeAdapter

from flowcore import CannotStart, speech
from nodes.speech.cloud.streaming_driver import StreamerResource
from nodes.speech.engine_choice import SpeechEngine
from tests.support.parrot import Parrot


class Counted(Parrot):
    """Counts what is open."""

    opened: list[str] = []

    def open(self) -> None:
        super().open()
        self.opened.append("engine")

    def close(self) -> None:
        super().close()
        self.opened.remove("engine")


class Local:
    """A fallback, which may refuse to open."""

    def __init__(self, opened: list[str], error: Exception | None = None) -> None:
        self.opened = opened
        self.error = error

    def open(self) -> None:
        if self.error:
            raise self.error
        self.opened.append("fallback")

    def close(self) -> None:
        self.opened.remove("fallback")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(Counted, "opened", [])
    monkeypatch.setitem(speech.available(), "counted", SimpleNamespace(load=lambda: Counted))
    return TypeAdapter(SpeechEngine).validate_python("counted")


def test_engine_and_fallback_open_and_close_together(engine):
    fallback: Any = Local(Counted.opened)
    resource = StreamerResource(engine, fallback)
    resource.open()
    assert Counted.opened == ["engine", "fallback"]
    assert fallback.report is resource.report
    resource.close()
    assert Counted.opened == []


def test_a_fallback_that_cannot_open_closes_the_engine(engine):
    fallback: Any = Local(Counted.opened, CannotStart("no model"))
    with pytest.raises(CannotStart):
        StreamerResource(engine, fallback).open()
    assert Counted.opened == []


def test_equal_engines_and_fallbacks_share_one_resource(engine):
    one, other = StreamerResource(engine, None), StreamerResource(engine, None)
    assert one == other
    assert hash(one) == hash(other)
    fallback: Any = Local([])
    assert one != StreamerResource(engine, fallback)
