import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.ringcx.call_recording import MAX_LINE, VERSION, BadRecording, Closed, Message, Opened, encode, read

OPENED = Opened(VERSION, 12.5, "2026-01-02T03:04:05+00:00", "/?callId=1", [("Host", "***")])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
TIME = st.floats(0, 1e9)
MIDDLE = st.lists(st.builds(Message, TIME, TEXT))


@given(MIDDLE, st.builds(Closed, TIME, TEXT, st.none() | st.integers(1000, 4999)))
def test_what_is_written_is_read_again_to_the_last_bit(middle, closed):
    events = [OPENED, *middle, closed]
    assert list(read(encode(event) for event in events)) == events


@given(MIDDLE, st.data())
def test_file_cut_anywhere_keeps_what_is_whole(middle, data):
    lines = [encode(event) for event in (OPENED, *middle)]
    whole = b"".join(lines)
    cut = data.draw(st.integers(len(lines[0]), len(whole)))
    found = list(read(whole[:cut].splitlines(keepends=True)))
    assert found == [OPENED, *middle][: len(found)]
    assert len(found) >= whole[:cut].count(b"\n")


def test_recordings_of_version_1_are_of_websockets():
    (opened,) = read([b'{"is":"opened","version":1,"at":1.0,"recorded":"","path":"/","headers":[]}\n'])
    assert (opened.version, opened.transport) == (1, "websocket")


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([b"\xff\xfe\n"], "line 1 is not valid in a recording"),
        ([b"no JSON at all"], "line 1 is not valid in a recording"),
        ([b'{"is":"song","at":1}\n'], "line 1 is not valid in a recording"),
        ([encode(OPENED), b"{}\n", encode(Message(1.0, ""))], "line 2 is not valid in a recording"),
        ([encode(Message(1.0, ""))], "line 1 is out of place"),
        ([encode(OPENED), encode(OPENED)], "line 2 is out of place"),
        ([encode(Opened(9, 0.0, "", "/", []))], "version is 9, and 3 is the newest known: update flowcore"),
        ([encode(OPENED), b'{"is":"message","at":1,"text":"' + b"x" * MAX_LINE + b'"}\n'], "line 2 is too long"),
    ],
)
def test_bad_recording_names_the_line(lines, why):
    with pytest.raises(BadRecording, match=why):
        list(read(lines))


@given(st.lists(st.binary(max_size=80).map(lambda data: data + b"\n")))
def test_any_bytes_are_read_or_refused(lines):
    with contextlib.suppress(BadRecording):
        list(read(lines))
