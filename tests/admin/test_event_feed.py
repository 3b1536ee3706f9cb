"""The queues of readers of events."""

import asyncio

import pytest

from flowcore.admin import event_feed
from flowcore.admin.event_feed import MAX_QUEUE, EventFeed


def collected(reader):
    """All frames up to the end of the reader."""

    async def collect():
        return [frame async for frame in reader.frames()]

    return asyncio.run(collect())


@pytest.fixture
def dropped():
    return []


@pytest.fixture
def feed(dropped):
    return EventFeed(lambda: dropped.append(1))


def test_a_reader_gets_events_in_order_with_ids_that_count_on(feed):
    reader = feed.open()
    feed.publish({"event": "flow_opened", "flow": "a"})
    feed.publish({"event": "flow_closed", "flow": "a"})
    feed.end()
    assert collected(reader) == [
        b": connected\n\n",
        b'id: 1\nevent: flow_opened\ndata: {"event": "flow_opened", "flow": "a"}\n\n',
        b'id: 2\nevent: flow_closed\ndata: {"event": "flow_closed", "flow": "a"}\n\n',
    ]


def test_ids_skip_events_that_were_missed(feed):
    reader = feed.open()
    feed.publish({"event": "a"}, missed=3)
    feed.end()
    assert collected(reader)[1].startswith(b"id: 4\n")


def test_a_reader_of_one_flow_gets_no_other(feed):
    reader = feed.open("b")
    for flow in "abc":
        feed.publish({"event": "gap", "flow": flow})
    feed.publish({"event": "call_log_opened"})
    feed.end()
    assert [b'"flow": "b"' in frame for frame in collected(reader)[1:]] == [True]


def test_a_reader_that_is_too_far_behind_is_dropped_and_counted_and_the_others_go_on(feed, dropped):
    slow, other = feed.open(), feed.open("x")
    for _ in range(MAX_QUEUE):
        feed.publish({"event": "gap"})
    assert not dropped
    feed.publish({"event": "gap", "flow": "x"})
    assert dropped == [1]
    feed.publish({"event": "gap", "flow": "x"})
    feed.end()
    assert collected(slow) == [b": connected\n\n"]
    assert len(collected(other)) == 3


def test_a_text_with_line_ends_is_one_line_of_data(feed):
    reader = feed.open()
    feed.publish({"event": "gap", "detail": "a\n\nevent: forged"})
    feed.end()
    assert collected(reader)[1].count(b"\n") == 4


def test_a_quiet_stream_says_that_it_is_still_there(feed):
    reader = feed.open()

    async def third():
        frames = reader.frames(0.001)
        got = [await anext(frames) for _ in range(3)]
        await frames.aclose()
        return got[2]

    assert asyncio.run(third()) == b": still here\n\n"


def test_readers_beyond_the_limit_get_none(feed, monkeypatch):
    monkeypatch.setattr(event_feed, "MAX_READERS", 1)
    first = feed.open()
    assert feed.open() is None
    feed.close(first)
    assert feed.open() is not None
