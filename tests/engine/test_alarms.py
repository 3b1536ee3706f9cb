"""A node that asked for a time is called then, once, whatever comes or does not come."""

import threading
import weakref
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcore import Audio, Emit, EventType, Sink, Transform, node
from flowcore.engine.alarms import NEVER, Alarm, Alarms
from flowcore.testing import NodeHarness, VirtualPool, duration, run_plan, tone
from tests.engine.nodes import Halves, Keep, Tones, plan, step


class Hand:
    """A clock moved by hand, and the alarms that look at it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.alarms = Alarms(lambda: self.now)
        self.rung: list[float] = []
        self.alarm = Alarm(self.alarms, lambda: self.rung.append(self.now))

    def until(self, when: float, slot: float = 1.0) -> list[float]:
        while self.now < when:
            self.now += slot
            self.alarms.ring()
        return self.rung


def test_it_rings_once_in_the_first_slot_after_its_time() -> None:
    hand = Hand()
    hand.alarm(2.5)
    assert hand.until(10) == [3.0]


def test_put_off_again_and_again_it_rings_once_at_the_last_time() -> None:
    hand = Hand()
    for now in range(20):
        hand.alarm(now + 5.0)
        hand.until(now + 1)
    assert hand.until(40) == [24.0]
    assert not hand.alarms._due  # and left nothing behind


def test_a_sooner_time_replaces_a_later_one() -> None:
    hand = Hand()
    hand.alarm(9)
    hand.alarm(2)
    assert hand.until(20) == [2.0]


def test_taken_back_it_does_not_ring() -> None:
    hand = Hand()
    hand.alarm(3)
    hand.alarm(NEVER)
    assert hand.until(20) == []


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40)), max_size=30))
def test_the_time_set_last_counts(wishes: list[tuple[int, int]]) -> None:
    hand = Hand()
    expected: list[float] = []
    wanted = NEVER
    by_slot: dict[int, list[int]] = {}
    for slot, when in wishes:
        by_slot.setdefault(slot, []).append(when)
    for slot in range(80):
        for when in by_slot.get(slot, []):
            hand.alarm(when)
            wanted = when
        hand.until(slot + 1)
        if wanted <= slot + 1:
            expected.append(slot + 1.0)
            wanted = NEVER
    assert hand.rung == expected


def test_after_its_end_it_holds_nothing_however_long_its_time_is_off() -> None:
    class Flow:
        def wake(self) -> None:
            raise AssertionError

    hand, flow = Hand(), Flow()
    alarm = Alarm(hand.alarms, flow.wake)
    alarm(3600)
    hand.until(1)
    gone = weakref.ref(flow)
    alarm.end()
    del flow
    assert gone() is None
    hand.until(4000)


RANG = EventType("rang", "The alarm rang.", held="Chunks that were held.")


@node("patient")
class Patient(Transform[Audio, Audio]):
    """Gives a chunk out only when nothing came for half a second, or at the end."""

    events = (RANG,)

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.held: list[Audio] = []

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        self.held.append(chunk)
        self.alarm(self.now() + 0.5)

    def collect(self, emit: Emit[Audio]) -> None:
        if self.held:
            self.report.event("rang", held=len(self.held))
        self.flush(emit)

    def flush(self, emit: Emit[Audio]) -> None:
        for chunk in self.held:
            emit(chunk)
        self.held.clear()


@node("patient_halves")
class PatientHalves(Halves):
    """The same with two outputs: the second one gets the chunks in a hold, the first one those at the end."""

    runs = "thread"
    events = (RANG,)

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.held: list[Audio] = []

    def process(self, chunk: Audio, emits: Sequence[Emit[Audio]]) -> None:
        self.held.append(chunk)
        self.alarm(self.now() + 0.5)

    def collect(self, emits: Sequence[Emit[Audio]]) -> None:
        if self.held:
            self.report.event("rang", held=len(self.held))
        self._give(emits[1])

    def flush(self, emits: Sequence[Emit[Audio]]) -> None:
        self._give(emits[0])

    def _give(self, emit: Emit[Audio]) -> None:
        for chunk in self.held:
            emit(chunk)
        self.held.clear()


@node("waking_halves")
class WakingHalves(PatientHalves):
    """Asks for ``collect`` by ``wake`` from another thread, as one with a network does."""

    def process(self, chunk: Audio, emits: Sequence[Emit[Audio]]) -> None:
        self.held.append(chunk)
        self.count += 1
        if self.count == 25:
            waker = threading.Thread(target=self.wake)
            waker.start()
            waker.join()


@node("patient_sink")
class PatientSink(Sink[Audio]):
    """The same at the end of a flow, behind a border."""

    runs = "thread"
    events = (RANG,)

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.asked = 0.0

    def process(self, chunk: Audio) -> None:
        self.asked = self.now() + 0.5
        self.alarm(self.asked)

    def collect(self) -> None:
        assert self.asked <= self.now() < self.asked + 0.1
        self.report.event("rang")


@pytest.mark.parametrize("pool", [None, VirtualPool])
@pytest.mark.parametrize("cls", [Patient, PatientSink])
def test_in_a_flow_it_rings_in_a_hold_and_not_after_the_end(cls: type[Any], pool: type[VirtualPool] | None) -> None:
    Keep.kept.clear()
    steps = [step("source", Tones, length="1s", pace=True, hold="2s"), step("it", cls, "source")]
    if cls is Patient:
        steps.append(step("end", Keep, "it"))
    result = run_plan(plan(*steps), **({"pool": pool()} if pool else {}))
    rang = result.named("rang")
    assert len(rang) == 1
    if cls is Patient:
        assert rang[0].data["held"] == 25
        assert duration([kept for kept in next(iter(Keep.kept.values())) if isinstance(kept, Audio)]) == "1s"


@pytest.mark.parametrize("pool", [None, VirtualPool])
@pytest.mark.parametrize("cls", [PatientHalves, WakingHalves])
def test_a_node_with_several_outputs_collects_too(cls: type[Any], pool: type[VirtualPool] | None) -> None:
    Keep.kept.clear()
    steps = [step("source", Tones, length="1s", pace=True, hold="2s"), step("it", cls, "source")]
    steps += [step("first", Keep, "it.left", key="first"), step("second", Keep, "it.right", key="second")]
    result = run_plan(plan(*steps), **({"pool": pool()} if pool else {}))
    assert result.named("rang")[0].data["held"] == 25
    (flow,) = result.flows
    heard = {key: [kept for kept in Keep.kept[flow.id + key] if isinstance(kept, Audio)] for key in ("first", "second")}
    assert [duration(heard[key]) for key in ("first", "second")] == ["500ms", "500ms"]


def test_the_harness_collects_from_a_node_with_several_outputs() -> None:
    harness = NodeHarness(PatientHalves).push(*tone("100ms")).wait(1)
    assert (duration(harness.ports["left"]), duration(harness.ports["right"])) == ("0ms", "100ms")
