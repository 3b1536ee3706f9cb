"""The engine: stops, refusals, the end after so many calls, and real clocks and threads."""

from typing import Any

import pytest

from flowcore import Audio, Config, Format, Host, Listener, PathTemplate, Reason, Sink, node, open_files
from flowcore.engine.clock import SystemClock
from flowcore.engine.engine import Engine
from flowcore.errors import Refused
from flowcore.testing import run_plan, tone
from tests.engine.nodes import MONO, Keep, Tones, plan, step


class EndlessConfig(Config):
    stop_at: float = 5.0


@node("endless")
class Endless(Listener[Audio, EndlessConfig]):
    """Sessions that end only when the engine ends them."""

    @classmethod
    def gives(cls, config: Any) -> Format:
        return MONO

    async def run(self, host: Host) -> None:
        inlets = [host.accept({}) for _ in range(3)]
        second = tone("1s")
        began = host.now()
        while not all(inlet.ended for inlet in inlets):
            for inlet in inlets:
                inlet.push(second[0])
            await host.sleep(0.02)
            if host.now() - began >= self.config.stop_at:
                host.stop()  # type: ignore[attr-defined]  # the engine itself, as a signal handler has it


@pytest.mark.fault(35)
def test_stop_drains_all_flows():
    Keep.kept.clear()
    result = run_plan(plan(step("call", Endless), step("end", Keep, "call")))
    assert [flow.reason for flow in result.flows] == ["stopping"] * 3
    assert all(kept[-2:] == ["flush", "close"] for kept in Keep.kept.values())


def test_an_engine_on_the_real_clock_and_real_threads_has_the_same_counters():
    import asyncio

    from tests.engine.nodes import KeepInThread

    Keep.kept.clear()
    engine = Engine(
        plan(step("call", Tones, sessions=20, length="3s"), step("end", KeepInThread, "call")), clock=SystemClock()
    )
    broken: list[Any] = []
    engine.bus.subscribe(lambda event: broken.append(event) if event.name == "flow_unbalanced" else None)
    asyncio.run(engine.run())
    assert engine.totals.flows == 20
    assert not broken
    assert all(len(kept) == 153 and kept[-2:] == ["flush", "close"] for kept in Keep.kept.values())


def test_calls_ends_the_engine_after_that_many_flows():
    result = run_plan(plan(step("call", Tones, sessions=3), step("end", Keep, "call")), calls=2)
    assert len(result.flows) == 3


@node("refused")
class RefusedTones(Tones):
    """Has one session, and notes why more are refused."""

    refusals: list[str] = []

    async def run(self, host: Host) -> None:
        inlet = host.accept({})
        for ask in (host.admit, lambda: host.accept({})):
            with pytest.raises(Refused) as caught:
                ask()
            self.refusals.append(str(caught.value))
        inlet.end("done")


def test_calls_beyond_the_limit_are_refused_and_counted():
    RefusedTones.refusals.clear()
    result = run_plan(plan(step("call", RefusedTones), step("end", Keep, "call")), max_calls=1, calls=1)
    assert (result.engine.totals.refused, len(result.named("session_refused"))) == (2, 2)
    assert all("busy" in reason for reason in RefusedTones.refusals)


class PathConfig(Config):
    path: PathTemplate = PathTemplate("{flow}.wav")


@node("writer")
class Writer(Sink[Audio, PathConfig]):
    """Has a file for each call."""

    caps = Keep.caps

    def process(self, chunk: Audio) -> None: ...


@pytest.mark.fault(55)
def test_a_call_for_whose_files_there_is_no_room_is_refused(monkeypatch):
    free = iter([130, 130, 129, 129])  # at the start, then at each question: an eighth is kept, and a call needs 2
    monkeypatch.setattr(open_files, "room", lambda: open_files.Room(next(free), 1024))
    RefusedTones.refusals.clear()
    result = run_plan(plan(step("call", RefusedTones), step("end", Writer, "call")), calls=1)
    assert [event.data["reason"] for event in result.named("session_refused")] == ["open_files"] * 2
    assert RefusedTones.refusals == ["open_files"] * 2


@node("uncounted")
class Uncounted(Tones):
    """Drops and fills in on behalf of no flow."""

    reasons = (Reason("too_late", "Late."), Reason("lost", "Lost."))

    async def run(self, host: Host) -> None:
        self.report.dropped("too_late", 0.5)
        self.report.filled("lost", 0.25)
        await super().run(host)


def test_counts_of_no_flow_go_to_the_totals():
    result = run_plan(plan(step("call", Uncounted), step("end", Keep, "call")))
    stats = result.engine.totals.nodes["call"]
    assert (stats.dropped["too_late"].seconds, stats.filled["lost"].seconds) == (0.5, 0.25)
