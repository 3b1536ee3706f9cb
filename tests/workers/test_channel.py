"""The channel between a supervisor and a worker, both ends in one event loop."""

import asyncio
import json
import socket

from flowcore.workers import channel
from flowcore.workers.channel import Channel


async def pair():
    ours, theirs = socket.socketpair()
    return await Channel.open(ours), await Channel.open(theirs)


def test_messages_arrive_in_order_until_the_other_side_hangs_up():
    async def talk():
        here, there = await pair()
        here.send({"activate": True})
        here.send({"id": 1, "ask": "calls"})
        here.close()
        await here.wait_closed()
        heard = [message async for message in there.messages()]
        there.close()
        await there.wait_closed()
        return heard

    assert asyncio.run(talk()) == [{"activate": True}, {"id": 1, "ask": "calls"}]


def test_a_line_that_was_cut_by_a_kill_is_dropped():
    async def talk():
        ours, theirs = socket.socketpair()
        there = await Channel.open(theirs)
        with ours:
            ours.sendall(json.dumps({"alive": True}).encode() + b'\n{"totals": {"flo')
        heard = [message async for message in there.messages()]
        there.close()
        return heard

    assert asyncio.run(talk()) == [{"alive": True}]


def test_a_message_to_a_closed_channel_is_dropped():
    async def talk():
        here, there = await pair()
        here.close()
        here.send({"alive": True})
        heard = [message async for message in there.messages()]
        there.close()
        return heard

    assert asyncio.run(talk()) == []


def test_a_channel_that_nobody_reads_is_congested(monkeypatch):
    monkeypatch.setattr(channel, "MAX_LINE", 1 << 20)

    async def talk():
        here, there = await pair()
        before = here.congested
        for _ in range(64):
            here.send({"messages": ["x" * (1 << 16)]})
        after = here.congested
        here.close()
        there.close()
        await there.wait_closed()
        await here.wait_closed()
        return before, after

    assert asyncio.run(talk()) == (False, True)


def test_an_error_in_an_event_is_sent_as_its_text():
    async def talk():
        here, there = await pair()
        here.send({"event": {"name": "node_failed", "data": {"cause": ValueError("no")}}})
        here.close()
        [message] = [message async for message in there.messages()]
        there.close()
        return message["event"]["data"]

    assert asyncio.run(talk()) == {"cause": "no"}
