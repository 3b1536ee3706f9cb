"""The fault injector: faults reach the driver, and breaches of the contract are found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flowcore.speech import Ended, Expired, Limits, Listener, OverQuota, Rejected, Result, Stream, Streamer, Unavailable
from nodes.speech.testing import FaultInjector, StreamFault

SECOND = bytes(8000)  # of mulaw


class Echo(Streamer):
    """Answers each second of audio with a result, which may be about audio that was never sent."""

    limits = Limits((("mulaw", 8000),), max_stream=60.0, idle=10.0)
    ahead = 0.0

    def open(self) -> None: ...
    def close(self) -> None: ...

    def stream(self, encoding: Any, rate: int, listener: Listener) -> Stream:
        return EchoStream(listener, self.ahead)


class EchoStream(Stream):
    def __init__(self, listener: Listener, ahead: float) -> None:
        self.listener = listener
        self.ahead = ahead
        self.seconds = 0
        self.slow = False

    def send(self, audio: bytes) -> None:
        self.seconds += 1
        self.listener(Result("word", True, end=self.seconds + self.ahead))

    def end(self) -> None:
        if not self.slow:
            self.listener(Ended())

    def cancel(self) -> None: ...


class Rig:
    """One stream through the injector, on a clock of the test."""

    def __init__(self, fault: StreamFault = "", **limits: float) -> None:
        self.now = 0.0
        self.events: list[Result | Ended] = []
        self.engine = Echo()
        self.injector = FaultInjector(self.engine, lambda: self.now, replace(Echo.limits, **limits), lambda n: fault)
        self.stream: Any = self.injector.stream("mulaw", 8000, self.events.append)

    def send(self, seconds: int) -> Rig:
        for _ in range(seconds):
            self.now += 1.0
            self.stream.send(SECOND)
        return self

    @property
    def error(self) -> Any:
        end = self.events[-1]
        return type(end.error) if isinstance(end, Ended) and end.error else None


@pytest.mark.parametrize(("fault", "error"), [("refuse", Unavailable), ("quota", OverQuota), ("reject", Rejected)])
def test_a_stream_fails_at_once(fault, error):
    assert Rig(fault).error is error


@pytest.mark.parametrize(("fault", "error"), [("reset", Unavailable), ("expire", Expired)])
def test_a_stream_fails_after_some_audio(fault, error):
    rig = Rig(fault).send(1)
    assert rig.error is None
    assert rig.send(1).error is error


def test_a_deaf_stream_ends_in_order_and_a_hung_one_never():
    deaf, hung = Rig("deafen").send(4), Rig("hang").send(4)
    deaf.stream.end()
    hung.stream.end()
    assert [type(event) for event in deaf.events] == [Result, Ended]
    assert [type(event) for event in hung.events] == [Result]


def test_a_driver_within_the_limits_has_no_breaches():
    rig = Rig().send(3)
    rig.stream.end()
    assert rig.injector.breaches == []


@pytest.mark.parametrize(
    ("limits", "steps", "breach"),
    [
        ({"max_request": 100}, lambda rig: rig.send(1), "a request of 8000 bytes"),
        ({}, lambda rig: [rig.stream.send(SECOND) for _ in range(4)], "audio faster than the limits allow"),
        (
            {},
            lambda rig: (rig.injector.streams[0].end(), setattr(rig.stream, "over", False), rig.send(1)),
            "audio after",
        ),
        ({}, lambda rig: (rig.stream.end(), rig.stream.end()), "two ends"),
        ({}, lambda rig: (setattr(rig, "now", 11.0), rig.injector.tick()), "too old or idle for too long"),
        ({}, lambda rig: (setattr(rig.stream.inner, "ahead", 1.0), rig.send(1)), "audio that was never sent"),
        ({}, lambda rig: rig.injector.stream("s16", 16000, rig.events.append), "the driver sends s16 at 16000 Hz"),
    ],
)
def test_breaches_are_found(limits, steps, breach):
    rig = Rig(**limits)
    rig.stream.inner.slow = True  # its end comes later
    steps(rig)
    assert any(breach in found for found in rig.injector.breaches), rig.injector.breaches
