"""The doctor's probe of one connection, without a socket."""

from __future__ import annotations

from types import SimpleNamespace

from websockets.datastructures import Headers
from websockets.http11 import Request

from nodes.doctor.probe import Setup
from nodes.doctor.websocket_probe import WebSocketProbe
from nodes.ringcx.call_sender import CallSender
from tests.support.conversation import conversation


def test_peer_that_does_not_close_after_stop_is_closed_after_ten_seconds():
    now, closes, pings = [100.0], [], []
    websocket = SimpleNamespace(ping=lambda: pings.append(now[0]), close_received=None, other_frames={})
    line = SimpleNamespace(websocket=websocket, close=lambda code: closes.append((now[0], code)))
    setup = Setup(lambda: now[0], None, lambda: None, print, print)
    probe = WebSocketProbe(Request("/", Headers()), "192.0.2.1", setup)
    probe.opened(line)
    messages = list(conversation(CallSender({})))
    for at in (0.5, 60.0, 120.0):  # a hold is no end
        now[0] = 100.0 + at
        probe.wants_read(now[0])
        probe.messages_received([messages.pop(0)], now[0])
    probe.messages_received(messages, now[0])
    for second in range(12):
        now[0] = 220.0 + second
        probe.wants_read(now[0])
    assert (pings, closes) == ([160.0], [(230.0, 1000)])
    probe.closed("peer_closed")
    assert probe.examination.facts()["end"]["by"] == "doctor"
    assert probe.examination.facts()["end"]["seconds_after_last_stop"] == 11.0
