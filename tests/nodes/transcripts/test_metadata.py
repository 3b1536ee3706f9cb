import json
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcore import Text
from flowcore.testing import SESSION
from nodes.transcripts import journal
from nodes.transcripts.metadata import metadata

HEAD = journal.Head("test-flow", SESSION.started, {"call_id": "call-1"})
NAMES = {"agent": "Kim", "customer": "Caller"}


def about(*texts: Text, **known):
    transcript = journal.Transcript(HEAD, list(texts), [], **known)
    return json.loads(metadata(transcript, NAMES, "x.srt"))


def test_metadata_of_a_call():
    texts = (
        Text("customer", 0.5, 2.0, "it is no good", True, 0),
        Text("agent", 1.0, 2.0, "hello there", True, 0),
        Text("customer", 4.0, 7.25, "", True, 1, gap="untranscribed"),
        Text("agent", 8.0, 9.0, "I see", False, 1),
    )
    lags = {True: array("d", [0.7, 0.5]), False: array("d", [0.2])}
    assert about(*texts, seconds=12.5, lags=lags) == {
        "transcript": "x.srt",
        "flow": "test-flow",
        "started": "2026-01-02T03:04:05",
        "seconds": 12.5,
        "complete": True,
        "session": {"call_id": "call-1"},
        "parties": {
            "agent": {"name": "Kim", "texts": 1, "uncertain": 0, "unfinished": 1, "words": 4},
            "customer": {"name": "Caller", "texts": 1, "uncertain": 0, "unfinished": 0, "words": 4},
        },
        "gaps": [{"track": "customer", "start": 4.0, "end": 7.25, "reason": "untranscribed"}],
        "lag": {
            "final": {"texts": 2, "p50": 0.5, "p95": 0.7, "max": 0.7},
            "interim": {"texts": 1, "p50": 0.2, "p95": 0.2, "max": 0.2},
        },
    }


def test_nothing_said_and_nothing_measured():
    known = about(seconds=3.0)
    assert (known["parties"], known["gaps"], known["lag"]) == ({}, [], {"final": None, "interim": None})


def test_a_transcript_whose_writer_was_killed_is_not_complete():
    assert (about()["complete"], about()["seconds"]) == (False, None)


def test_a_transcript_with_spoilt_lines_is_not_complete_and_says_how_many():
    known = about(seconds=3.0, unreadable=2)
    assert (known["complete"], known["unreadable_lines"]) == (False, 2)


@given(st.lists(st.integers(0, 1000), min_size=1))
def test_of_a_hundred_lags_95_are_no_longer_than_the_95th_percentile(lags):
    measured = about(lags={True: array("d", lags), False: array("d")})["lag"]["final"]
    for name, share in (("p50", 0.5), ("p95", 0.95)):
        assert measured[name] in lags
        assert sum(lag <= measured[name] for lag in lags) >= share * len(lags) - 1e-9
        assert sum(lag < measured[name] for lag in lags) < share * len(lags)
    assert measured["max"] == max(lags)
    assert measured["texts"] == len(lags)


@pytest.mark.parametrize("reason", ["un\ntranscribed", "un\u202etranscribed"])
def test_a_reason_is_one_plain_line(reason):
    (gap,) = about(Text("agent", 0, 1, "", True, 0, gap=reason))["gaps"]
    assert gap["reason"] in ("un transcribed", "untranscribed")
