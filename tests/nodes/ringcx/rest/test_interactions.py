import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.ringcx.rest.interactions import MAX_WINDOW, agent, end_of, ids, metadata, segments, windows
from nodes.ringcx.rest.platform import PlatformError

SEGMENT = {
    "uii": "202606020106368133110000000002",
    "dialogId": "s-v-23eb",
    "segmentId": "p-v-23eb",
    "agentId": 449438,
    "agentFullName": "Alex Smith",
    "productType": 1,
    "productId": "483",
    "agentDisposition": "SALE",
    "agentNotes": "Calls back.",
    "segmentStartTimeMs": "2026-06-02T05:06:40.000Z",
    "segmentEndTimeMs": "2026-06-02T05:07:21.000Z",
}


def test_one_window_is_asked_for_many_calls():
    calls = [(1000.0 + 60 * n, 1300.5 + 60 * n) for n in range(100)]
    assert windows(calls) == [(1000, 7241)]


def test_a_long_call_takes_several_windows():
    assert windows([(0.0, 25_000.0)]) == [(0, MAX_WINDOW), (MAX_WINDOW, 2 * MAX_WINDOW), (2 * MAX_WINDOW, 25_000)]


def test_quiet_hours_are_not_asked_for():
    assert windows([(0.0, 10.0), (50_000.0, 50_010.0)]) == [(0, 10), (50_000, 50_010)]


SPANS = st.lists(st.tuples(st.floats(0, 90_000), st.floats(0.5, 30_000)).map(lambda span: (span[0], sum(span))))


@given(SPANS)
def test_windows_cover_every_call_and_do_not_overlap(spans):
    found = windows(spans)
    assert all(0 < end - start <= MAX_WINDOW for start, end in found)
    assert all(end <= start for (_, end), (start, _) in pairwise(found))
    for start, end in spans:
        inside = [(max(first, start), min(last, end)) for first, last in found if first < end and last > start]
        assert sum(last - first for first, last in inside) == pytest.approx(end - start)


def test_the_request_names_the_windows_beginning_and_length():
    request = metadata("123", "456", (1_780_376_400, 1_780_380_000))
    assert request.path == "/voice/api/cx/integration/v2/accounts/123/sub-accounts/456/interaction-metadata"
    assert request.body == {"segmentEndTime": "2026-06-02 05:00:00", "timeInterval": 3600, "timeZone": "UTC"}


def test_what_a_segment_tells_of_its_agent():
    assert agent(SEGMENT) == {
        "agent_id": "449438",
        "name": "Alex Smith",
        "product_type": "queue",
        "product_id": "483",
        "group_id": None,
        "disposition": "SALE",
        "notes": "Calls back.",
        "start": "2026-06-02T05:06:40.000Z",
        "end": "2026-06-02T05:07:21.000Z",
        "segment_id": "p-v-23eb",
    }
    assert ids(SEGMENT) == {"202606020106368133110000000002", "s-v-23eb", "p-v-23eb"}


@pytest.mark.parametrize("change", [{"agentId": None}, {"segmentType": "IVR"}])
def test_a_segment_without_an_agent_tells_none(change):
    assert agent(SEGMENT | change) is None


@pytest.mark.parametrize("answer", ["<html>", {"error": 1}, None, 7])
def test_an_answer_without_a_list_is_an_error(answer):
    with pytest.raises(PlatformError, match="without a list of interactions"):
        segments(answer)


def test_entries_that_are_no_segments_are_left_out():
    assert segments([SEGMENT, None, "x"]) == [SEGMENT]


@pytest.mark.parametrize(
    ("segment", "end"),
    [
        ({"segmentEndTimeMs": "1970-01-01T00:01:00.500Z"}, 60.5),
        ({"interactionEndTimeMs": "1970-01-01T00:01:00"}, 60.0),
        ({"segmentEndTimeMs": 7, "interactionEndTimeMs": "soon"}, math.inf),
        ({}, math.inf),
    ],
)
def test_the_end_of_a_segment(segment, end):
    assert end_of(segment) == end
