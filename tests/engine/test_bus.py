"""The bus of a process: what it tells, and that it says so when it could not tell all."""

from flowcore.engine.bus import MAX_QUEUE, Bus, Event


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
