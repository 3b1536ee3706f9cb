"""The feed of a page over a real socket, on a clock of the test."""

from __future__ import annotations

import json
import socket
from datetime import datetime

import pytest

from flowcore import Text
from flowcore.engine.sockets import listen
from nodes.captions.feed import KEEPALIVE_INTERVAL, MAX_TEXTS_PER_SLOT
from nodes.captions.site import CaptionsSite
from nodes.net.port import Limits, Port
from tests.support.captioning import session
from tests.support.watching import FEED, frames

pytestmark = pytest.mark.slow

NOON = datetime(2026, 1, 2, 12)


class Rig:
    def __init__(self) -> None:
        self.now = 100.0
        self.site = CaptionsSite("off", "", (), 60.0, 10)
        self.site.now = lambda: self.now
        self.site.open()
        self.port = Port(self.site.routes(), Limits(100, 5.0, 128_000))
        self.number = self.port.listen(listen("127.0.0.1", 0))
        self.clients: list[socket.socket] = []

    def slots(self, count: int = 1) -> None:
        for _ in range(count):
            self.now += 0.020
            self.port.poll(lambda: self.now)

    def watch(self, call: str, buffer: int = 1 << 20) -> socket.socket:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        client.settimeout(30)
        client.connect(("127.0.0.1", self.number))
        self.clients.append(client)
        client.sendall(FEED % call.encode())
        self.slots()
        assert client.recv(12) == b"HTTP/1.1 101"
        return client

    def read(self, client: socket.socket) -> list[dict[str, object]]:
        """All that comes until nothing more does."""
        data = b""
        client.setblocking(False)
        quiet = 0
        while quiet < 5:
            self.slots()
            try:
                more = client.recv(1 << 20)
            except BlockingIOError:
                quiet += 1
                continue
            if not more:
                break
            data, quiet = data + more, 0
        return [json.loads(message) for message in frames(data.partition(b"\r\n\r\n")[2] or data)]


@pytest.fixture
def rig():
    rig = Rig()
    yield rig
    rig.port.close()
    for client in rig.clients:
        client.close()


def text(utterance: int, words: str, final: bool = True) -> Text:
    return Text("agent", float(utterance), utterance + 1.0, words, final, utterance)


def test_the_messages_are_what_the_page_of_docs_says(rig):
    client = rig.watch("one")
    assert rig.read(client) == [
        {"event": "state", "call": "one", "state": "waiting", "sessions": [], "paused": False, "muted": []},
        {"event": "ready"},
    ]
    rig.site.shared_calls.begin(session("One", "flow", NOON))
    rig.site.shared_calls.add_text("flow", text(0, "hello"))
    assert rig.read(client) == [
        {"event": "state", "call": "one", "state": "live", "sessions": [0.0], "paused": False, "muted": []},
        {
            "event": "text",
            "id": "flow.agent.0",
            "track": "agent",
            "start": 0.0,
            "end": 1.0,
            "text": "hello",
            "final": True,
            "gap": "",
            "uncertain": False,
            "confidence": None,
            "language": "",
        },
    ]
    rig.now += KEEPALIVE_INTERVAL
    assert rig.read(client) == [{"event": "alive"}]
    rig.site.shared_calls.end("flow")
    assert rig.read(client) == [
        {"event": "state", "call": "one", "state": "ended", "sessions": [0.0], "paused": False, "muted": []}
    ]


def test_a_page_for_a_number_of_two_calls_says_so_and_one_that_has_its_call_keeps_it(rig):
    early = rig.watch("555")
    rig.site.shared_calls.begin(session("one", "flow", NOON, ("555",)))
    assert rig.read(early)[0]["call"] == "one"
    rig.site.shared_calls.begin(session("two", "other", NOON, ("555",)))
    late = rig.watch("555")
    assert rig.read(late)[0] == {
        "event": "state",
        "call": "555",
        "state": "ambiguous",
        "sessions": [],
        "paused": False,
        "muted": [],
    }
    rig.site.shared_calls.add_text("flow", text(0, "hello"))
    assert [message["text"] for message in rig.read(early)] == ["hello"]
    assert rig.read(late) == []


def until_ended(messages):
    """The final texts that a reader has who leaves at ``ended``."""
    at = next(n for n, message in enumerate(messages) if message.get("state") == "ended")
    return [message["text"] for message in messages[:at] if message["event"] == "text" and message["final"]]


@pytest.mark.fault(61)
@pytest.mark.parametrize("texts", [11, MAX_TEXTS_PER_SLOT, 3 * MAX_TEXTS_PER_SLOT + 1])
def test_readers_that_leave_at_ended_have_every_final(rig, texts):
    early, late = rig.watch("one"), rig.watch("one")
    rig.site.shared_calls.begin(session("one", "flow", NOON))
    heard = rig.read(early)
    for number in range(texts):
        rig.site.shared_calls.add_text("flow", text(number, f"text {number}"))
    rig.site.shared_calls.end("flow")  # before any feed looks again
    finals = [f"text {number}" for number in range(texts)]
    assert until_ended(heard + rig.read(early)) == finals
    assert until_ended(rig.read(late)) == finals
    assert until_ended(rig.read(rig.watch("one"))) == finals


@pytest.mark.fault(61)
def test_a_process_that_ends_gives_its_readers_the_last_final(rig):
    client = rig.watch("one")
    rig.site.shared_calls.begin(session("one", "flow", NOON))
    heard = rig.read(client)
    rig.site.shared_calls.add_text("flow", text(0, "bye"))
    rig.site.shared_calls.end("flow")
    rig.port.close()
    assert until_ended(heard + rig.read(client)) == ["bye"]


def test_a_page_that_does_not_read_costs_a_bounded_amount_and_then_gets_current_texts(rig):
    slow, fast = rig.watch("one", buffer=4096), rig.watch("one")
    rig.site.shared_calls.begin(session("one", "flow", NOON))
    seen = []
    waiting = 0
    for step in range(2000):
        rig.site.shared_calls.add_text("flow", text(step // 100, f"{step} " + "x" * 1500, final=step % 100 == 99))
        rig.slots()
        if step % 50 == 0:
            seen += rig.read(fast)
        waiting = max(waiting, *(connection.unsent for connection in rig.port.connections))
    assert waiting < MAX_TEXTS_PER_SLOT * 2000
    seen += rig.read(fast)
    late = rig.read(slow)
    for heard in (seen, late):
        final = {m["id"]: m["text"].split()[0] for m in heard if m["event"] == "text" and m["final"]}
        assert final == {f"flow.agent.{n}": str(n * 100 + 99) for n in range(20)}
    assert len(late) < len(seen)


def test_a_call_that_ended_long_ago_is_no_longer_shown(rig):
    rig.site.shared_calls.begin(session("one", "flow", NOON))
    rig.site.shared_calls.end("flow")
    rig.now += 59
    assert rig.read(rig.watch("one"))[0]["state"] == "ended"
    rig.now += 1
    assert rig.read(rig.watch("one"))[0]["state"] == "waiting"
