"""Whether the nodes could work for a new call: asked of each node, in a thread that may hang."""

import threading

import pytest

from flowcore import Audio, Sink, node
from flowcore.engine.readiness import CHECK_HANGS, CHECK_INTERVAL, CHECK_TIMEOUT, Readiness
from tests.engine.nodes import Tones, plan, step
from tests.support.live import until

FOUND = {"reason": ""}
HANGS, GOES_ON = threading.Event(), threading.Event()


@node("needs_disk")
class NeedsDisk(Sink[Audio]):
    """Cannot work for the reason in ``FOUND``."""

    @classmethod
    def obstacle(cls, config):
        return FOUND["reason"]

    def process(self, chunk: Audio) -> None:
        """Take it."""


class HasRoom(NeedsDisk):
    """Has room for ten flows."""

    name = "has_room"

    @classmethod
    def room(cls, config):
        return {"disk": 10, "licences": 7}


class HasLessRoom(NeedsDisk):
    """Has room for four."""

    name = "has_less_room"

    @classmethod
    def room(cls, config):
        return {"disk": 4}


class RaisesInCheck(NeedsDisk):
    """Has a defect."""

    name = "raises_in_check"

    @classmethod
    def obstacle(cls, config):
        raise RuntimeError("a defect")


class HangsInCheck(NeedsDisk):
    """Is on a network disk that is gone."""

    name = "hangs_in_check"

    @classmethod
    def obstacle(cls, config):
        HANGS.set()
        assert GOES_ON.wait(60)
        return ""


class Clock:
    """A clock in the hand of the test."""

    time = 100.0


@pytest.fixture
def ask():
    """Ask at a time, once the check before it has ended."""
    made = {}

    def asked(cls, at, *, wait=True):
        readiness = made.setdefault(
            cls, Readiness(plan(step("call", Tones), step("end", cls, "call")), lambda: Clock.time)
        )
        Clock.time = at
        found = readiness.obstacle()
        if wait:
            until(lambda: not any(thread.name == "readiness" for thread in threading.enumerate()))
        return found

    return asked


def test_what_a_node_finds_is_known_with_the_next_question(ask):
    FOUND["reason"] = "disk_full"
    assert ask(NeedsDisk, 100.0) == ""
    assert ask(NeedsDisk, 100.1) == "disk_full"
    FOUND["reason"] = ""
    assert ask(NeedsDisk, 100.2) == "disk_full", "nodes are asked once a second"
    assert ask(NeedsDisk, 100.0 + CHECK_INTERVAL) == "disk_full"
    assert ask(NeedsDisk, 100.1 + CHECK_INTERVAL) == ""


def test_a_check_that_raises_is_no_obstacle(ask):
    assert [ask(RaisesInCheck, at) for at in (100.0, 102.0, 104.0)] == ["", "", ""]


def test_a_check_that_hangs_is_an_obstacle_and_is_not_repeated_meanwhile(ask):
    HANGS.clear()
    GOES_ON.clear()
    assert ask(HangsInCheck, 100.0, wait=False) == ""
    assert HANGS.wait(60)
    assert ask(HangsInCheck, 100.0 + CHECK_TIMEOUT, wait=False) == ""
    assert ask(HangsInCheck, 100.1 + CHECK_TIMEOUT, wait=False) == CHECK_HANGS
    assert sum(thread.name == "readiness" for thread in threading.enumerate()) == 1
    GOES_ON.set()
    ask(HangsInCheck, 106.0)
    assert ask(HangsInCheck, 107.0) == ""


def test_the_room_of_each_kind_is_that_of_the_node_with_the_least():
    two = plan(step("call", Tones), step("one", HasRoom, "call"), step("two", HasLessRoom, "call"))
    readiness = Readiness(two, lambda: 100.0)
    until(lambda: readiness.room() == {"disk": 4, "licences": 7})
