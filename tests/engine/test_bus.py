"""The bus of a process: what it tells, and that it says so when it could not tell all."""

from collections.abc import Callable

import pytest

from flowcore import EventType, Reason, ThrottledEventType
from flowcore.engine.bus import MAX_QUEUE, Bus, Event
from flowcore.errors import Undeclared
from flowcore.testing import run_plan
from tests.engine.nodes import Keep, Tones, plan, step


def test_events_that_found_no_room_are_told_of_once():
    bus = Bus()
    heard: list[Event] = []
    bus.subscribe(heard.append)
    for number in range(MAX_QUEUE + 3):
        bus.emit("tick", number=number)
    bus.deliver()
    assert [event.data for event in heard[MAX_QUEUE:]] == [{"events": 3}]
    assert heard[-1].name == "events_lost"
    bus.deliver()
    assert len(heard) == MAX_QUEUE + 1


def test_a_subscriber_that_raises_does_not_stop_the_others():
    bus = Bus()
    heard: list[Event] = []
    bus.subscribe(lambda event: 1 / 0)  # type: ignore[arg-type, return-value]
    bus.subscribe(heard.append)
    bus.emit("tick")
    bus.deliver()
    assert ([event.name for event in heard], bus.failed) == (["tick"], 1)


class Peers(Keep):
    """Declares an event that its peers cause."""

    events = (ThrottledEventType("peer_refused", "A peer was refused.", "warning", reason="", address=""),)


Peers.name = "peers"


def throttled() -> tuple[Bus, Callable[[float], list[tuple[str, str, str, int]]]]:
    """A bus, and what moves its clock and returns the events of ``peers`` that it delivers then."""
    time = 0.0
    bus = Bus(lambda: time)
    bus.declared.add("peers", Peers.events, ())
    heard: list[Event] = []
    bus.subscribe(heard.append)

    def at(now: float) -> list[tuple[str, str, str, int]]:
        nonlocal time
        time = now
        heard.clear()
        bus.deliver()
        return [(event.flow, event.data["reason"], event.data["address"], event.data["times"]) for event in heard]

    return bus, at


def refuse(bus: Bus, reason: str, address: str, flow: str = "") -> None:
    bus.emit("peer_refused", flow, "peers", reason=reason, address=address)


@pytest.mark.fault(64)
def test_1500_refused_calls_a_second_are_one_line_a_second_with_a_count():
    bus, at = throttled()
    lines = []
    for number in range(4500):
        refuse(bus, "busy", f"192.0.2.{number % 200}")
        lines += at(number / 1500)
    assert [times for *_, times in lines] == [1, 1499, 1500]
    assert at(3.0) == [("", "busy", "192.0.2.99", 1500)]
    assert at(10.0) == []
    refuse(bus, "busy", "192.0.2.1")
    assert at(10.0) == [("", "busy", "192.0.2.1", 1)]


def test_each_reason_and_each_flow_has_its_own_line_at_once():
    bus, at = throttled()
    for reason, flow in (("busy", ""), ("busy", "a"), ("busy", "b"), ("stopping", ""), ("busy", "a")):
        refuse(bus, reason, "::1", flow)
    keys = (("", "busy"), ("a", "busy"), ("b", "busy"), ("", "stopping"))
    assert at(0.0) == [(*key, "::1", 1) for key in keys]
    assert at(1.0) == [("a", "busy", "::1", 1)]


def test_merged_events_are_delivered_at_the_end_of_the_run():
    bus, at = throttled()
    refuse(bus, "busy", "::1")
    refuse(bus, "busy", "::2")
    assert len(at(0.0)) == 1
    heard: list[Event] = []
    bus.subscribe(heard.append)
    bus.flush()
    assert [(event.data["address"], event.data["times"]) for event in heard] == [("::2", 1)]


class Talker(Keep):
    """Tells and counts as its config says; only ``word_found`` and ``too_loud`` are declared."""

    events = (EventType("word_found", "A word.", "warning", word="The word."),)
    reasons = (Reason("too_loud", "Loud audio.", lost=False),)

    def process(self, chunk):
        match self.config.key:
            case "override":
                self.report.event("word_found", level="error", word="yes")
            case "event":
                self.report.event("bird_found")
            case "level":
                self.report.event("bird_found", level="error")
            case "field":
                self.report.event("word_found", bird="yes")
            case "reason":
                self.report.dropped("too_quiet", chunk.seconds)
            case _:
                self.report.event("word_found", word="yes")
                self.report.dropped("too_loud:very", chunk.seconds)


Talker.name = "talker"


def told(key, **options):
    return run_plan(plan(step("call", Tones), step("talker", Talker, "call", key=key)), **options)


def test_level_is_the_declared_one_unless_the_author_overrides_it():
    assert {event.level for event in told("").named("word_found")} == {"warning"}
    assert {event.level for event in told("override").named("word_found")} == {"error"}
    assert {event.level for event in told("").named("flow_closed")} == {"info"}


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("event", r'talker emits bird_found: declare  events = \(EventType\("bird_found", "…"\),\)  in its class'),
        ("field", "talker emits word_found with fields that are not declared: bird"),
        ("reason", r'talker counts too_quiet: declare  reasons = \(Reason\("too_quiet", "…"\),\)  in its class'),
    ],
)
def test_tests_refuse_what_is_not_declared(key, says):
    with pytest.raises(Undeclared, match=says):
        told(key)


@pytest.mark.parametrize(("key", "name"), [("override", "word_found"), ("level", "bird_found")])
def test_an_event_of_an_own_node_has_the_level_that_its_author_gives(key, name):
    assert {event.level for event in told(key, strict=False).named(name)} == {"error"}


def test_a_run_takes_an_undeclared_event_as_info():
    assert {event.level for event in told("event", strict=False).named("bird_found")} == {"info"}
