"""Messages between the resources of several workers, here in one process."""

from flowcore import Resource
from flowcore.engine.bus import Bus
from flowcore.workers.messages import MAX_WAITING, WorkerMessages


class Listening(Resource):
    def __init__(self):
        self.known = []

    def open(self):
        pass

    def on_worker_message(self, worker, message):
        if message == "an error":
            raise ZeroDivisionError
        self.known.append((worker, message))

    def on_worker_exit(self, worker):
        self.known.append((worker, "left"))


def rig():
    bus, events = Bus(), []
    bus.subscribe(events.append)
    messages, resources = WorkerMessages(bus), (Listening(), Listening())
    for name, resource in zip(("left", "right"), resources, strict=True):
        messages.join(name, resource)
    return messages, *resources, bus, events


def test_a_single_process_drops_messages_of_its_resources():
    assert Listening().tell("hello") is None


def test_messages_reach_the_resource_of_the_same_name_in_their_order():
    here, left, right, *_ = rig()
    there, their_left, their_right, *_ = rig()
    left.tell(1)
    right.tell({"two": 2})
    left.tell(3)
    there.deliver(7, here.take())
    assert here.take() == []
    assert their_left.known == [(7, 1), (7, 3)]
    assert their_right.known == [(7, {"two": 2})]
    there.deliver(7, [("unknown", 1)])
    there.deliver(7, None)
    assert their_left.known[-1] == their_right.known[-1] == (7, "left")


def test_messages_that_wait_too_long_are_bounded_and_the_loss_is_reported():
    messages, left, _, bus, events = rig()
    for number in range(MAX_WAITING + 5):
        left.tell(number)
    assert [message for _, message in messages.take()] == list(range(MAX_WAITING))
    bus.deliver()
    assert [(event.name, event.data) for event in events] == [("messages_lost", {"messages": 5})]
    left.tell("again")
    assert messages.take() == [("left", "again")]


def test_an_error_in_a_resource_is_reported_and_the_next_message_is_delivered():
    messages, left, _, bus, events = rig()
    messages.deliver(2, [("left", "an error")])
    messages.deliver(2, [("left", "fine")])
    bus.deliver()
    assert left.known == [(2, "fine")]
    assert [event.name for event in events] == ["resource_failed"]
