"""What the parts of several workers tell each other, in this process's hands."""

from flowcore import Resource
from flowcore.engine.bus import Bus
from flowcore.workers.messages import WAITING, WorkerMessages


class TapConnection(Resource):
    def __init__(self):
        self.known = []

    def open(self):
        pass

    def on_worker_message(self, worker, message):
        if message == "a mistake":
            raise ZeroDivisionError
        self.known.append((worker, message))

    def on_worker_exit(self, worker):
        self.known.append((worker, "left"))


def rig():
    bus, events = Bus(), []
    bus.subscribe(events.append)
    exchange, parts = WorkerMessages(bus), (TapConnection(), TapConnection())
    for name, part in zip(("left", "right"), parts, strict=True):
        exchange.join(name, part)
    return exchange, *parts, bus, events


def test_a_process_alone_tells_nobody_and_keeps_nothing():
    exchange, left, *_ = rig()
    left.tell("hello")
    assert exchange.take() == []


def test_messages_reach_the_part_of_the_same_name_in_their_order():
    here, left, right, *_ = rig()
    there, their_left, their_right, *_ = rig()
    here.connected = True
    left.tell(1)
    right.tell({"two": 2})
    left.tell(3)
    there.hear(7, here.take())
    assert here.take() == []
    assert their_left.known == [(7, 1), (7, 3)]
    assert their_right.known == [(7, {"two": 2})]
    there.hear(7, [("unknown", 1)])
    there.hear(7, None)
    assert their_left.known[-1] == their_right.known[-1] == (7, "left")


def test_what_nobody_fetches_is_bounded_and_the_loss_is_told():
    exchange, left, _, bus, events = rig()
    exchange.connected = True
    for number in range(WAITING + 5):
        left.tell(number)
    assert [message for _, message in exchange.take()] == list(range(WAITING))
    bus.deliver()
    assert [(event.name, event.data) for event in events] == [("messages_lost", {"messages": 5})]
    left.tell("again")
    assert exchange.take() == [("left", "again")]


def test_a_mistake_of_a_part_is_told_and_the_next_message_comes():
    exchange, left, _, bus, events = rig()
    exchange.hear(2, [("left", "a mistake")])
    exchange.hear(2, [("left", "fine")])
    bus.deliver()
    assert left.known == [(2, "fine")]
    assert [event.name for event in events] == ["part_failed"]
