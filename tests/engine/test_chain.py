"""What a chain and its hops survive: nodes that raise in odd places, wake up at odd times, or are made badly."""

from typing import Any

import pytest

from flowcore import Audio, Config, Duration, Emit, Transform, node
from flowcore.testing import VirtualPool, run_plan
from flowcore.testing.threads import spend
from tests.engine.nodes import Double, Keep, Tones, plan, step


@pytest.fixture(autouse=True)
def fresh() -> None:
    Keep.kept.clear()


def kept(key: str = "") -> list[Audio]:
    """What the sink got, without the marks of its life."""
    name = next(iter(name for name in Keep.kept if name.endswith(f"flow1{key}")))
    return [item for item in Keep.kept[name] if not isinstance(item, str)]


class OddConfig(Config):
    where: str = ""
    at: int = 10
    raises: type[BaseException] = RuntimeError


@node("odd")
class Odd(Double):
    """Holds back one chunk, and raises where it is told to."""

    Config = OddConfig
    balanced = True

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.count = 0
        self._trouble("make")

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        self.count += 1
        if self.count > self.config.at:
            self._trouble("process")
        super().process(chunk, emit)

    def busy(self) -> bool:
        self._trouble("busy")
        return False

    def _trouble(self, where: str) -> None:
        if self.config.where == where:
            raise self.config.raises(f"in {where}")


class OddInThread(Odd):
    """The same behind a border."""

    runs = "thread"


OddInThread.name = "odd_in_thread"


@pytest.mark.parametrize("cls", [Odd, OddInThread])
def test_a_node_that_raises_in_busy_ends_its_flow_only(cls: Any) -> None:
    result = run_plan(
        plan(step("call", Tones, sessions=2), step("odd", cls, "call", where="busy"), step("end", Keep, "odd"))
    )
    assert [[failure.node for failure in flow.failures] for flow in result.flows] == [["odd"], ["odd"]]
    assert Keep.kept["20260102T030405-flow2"][-2:] == ["flush", "close"]


@pytest.mark.parametrize("cls", [Odd, OddInThread])
@pytest.mark.parametrize("where", ["make", "process", "busy"])
def test_a_node_that_asks_the_process_to_exit_ends_its_branch_only(cls: Any, where: str) -> None:
    steps = [step("call", Tones), step("odd", cls, "call", where=where, raises=SystemExit, on_error="fail_branch")]
    result = run_plan(plan(*steps, step("end", Keep, "odd", key="odd"), step("other", Keep, "call")))
    assert [failure.node for failure in result.flows[0].failures] == ["odd"]
    assert len(kept()) == 50


class Panic(BaseException):
    """What an extension in Rust raises (pyo3's PanicException): no Exception."""


class Speechless(Exception):
    """Its own text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("raises", [Panic, Speechless])
@pytest.mark.parametrize("cls", [Odd, OddInThread])
@pytest.mark.parametrize("where", ["make", "process", "busy"])
def test_a_node_may_raise_exceptions_of_any_kind(cls: Any, where: str, raises: Any) -> None:
    steps = [step("call", Tones), step("odd", cls, "call", where=where, raises=raises, on_error="fail_branch")]
    result = run_plan(plan(*steps, step("end", Keep, "odd", key="odd"), step("other", Keep, "call")))
    assert [failure.node for failure in result.flows[0].failures] == ["odd"]
    assert raises.__name__ in str(result.flows[0].failures[0]) or "in " in str(result.flows[0].failures[0])
    assert len(kept()) == 50


def test_ctrl_c_in_a_node_ends_the_process() -> None:
    steps = [step("call", Tones), step("odd", Odd, "call", where="process", raises=KeyboardInterrupt)]
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan(*steps, step("end", Keep, "odd")))


def test_a_node_that_cannot_be_made_ends_its_branch_and_the_flow_goes_on() -> None:
    odd = step("odd", Odd, "call", where="make", on_error="fail_branch")
    steps = [step("call", Tones, pace=True), odd, step("first", Keep, "odd", key="odd"), step("end", Keep, "call")]
    result = run_plan(plan(*steps))
    assert result.flows[0].reason == "done"
    assert len(kept()) == 50


@pytest.mark.parametrize("cls", [Odd, OddInThread])
@pytest.mark.parametrize("on_error", ["fail_branch", "fail_flow", "restart"])
def test_audio_that_a_failing_node_had_taken_is_counted(cls: Any, on_error: str) -> None:
    """Also the chunk that it raised on, and the one that it held back."""
    odd = step("odd", cls, "call", where="process", on_error=on_error)
    result = run_plan(
        plan(step("call", Tones, length="5s", pace=True), odd, step("a", Keep, "odd"), step("b", Keep, "call", key="b"))
    )
    stats = result.flows[0].stats["odd"]
    assert result.flows[0].failures
    assert stats.dropped["node_failed"].chunks
    assert stats.arrived.seconds == pytest.approx(stats.left.seconds + stats.dropped["node_failed"].seconds)
    assert stats.left.chunks == len(kept())


@node("eager")
class Eager(Transform[Audio, Audio]):
    """Has its results at once, and says so while it is still at work."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.done: list[Audio] = []
        self.at_work = False

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        self.at_work = True
        self.done.append(chunk)
        self.wake()
        self.at_work = False

    def collect(self, emit: Emit[Audio]) -> None:
        assert not self.at_work
        while self.done:
            emit(self.done.pop(0))


def test_collect_never_comes_in_the_middle_of_process() -> None:
    result = run_plan(plan(step("call", Tones), step("eager", Eager, "call"), step("end", Keep, "eager")))
    assert not result.flows[0].failures
    assert len(kept()) == 50


class SlowEndConfig(Config):
    caps: Duration = Duration("1min")


@node("slow_end")
class SlowEnd(Transform[Audio, Audio, SlowEndConfig]):
    """Takes its time at the end, and what it holds goes nowhere when that is too long."""

    balanced = True
    runs = "thread"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.held: list[Audio] = []

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        self.held.append(chunk)

    def flush(self, emit: Emit[Audio]) -> None:
        spend(self.config.caps)
        for chunk in self.held:
            emit(chunk)


def test_a_flow_that_was_given_up_keeps_its_counters_and_fails_no_other_node() -> None:
    steps = [step("call", Tones), step("slow", SlowEnd, "call"), step("after", Odd, "slow"), step("end", Keep, "after")]
    result = run_plan(plan(*steps), drain=3, pool=VirtualPool())
    assert result.flows[0].reason == "drain_deadline"
    assert [failure.node for failure in result.flows[0].failures] == ["slow"]
    assert result.flows[0].stats["slow"].dropped["drain_deadline"].seconds == pytest.approx(1)
