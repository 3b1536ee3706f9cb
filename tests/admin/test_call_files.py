"""What the files of ended calls tell."""

import json
import wave

import numpy as np

from flowcore.admin import call_files
from flowcore.admin.call_files import describe, talk, words

RATE = 8000


def recording(path, *parties, about=None):
    """Write a recording; each party is a list of stretches: seconds, and whether it speaks."""
    channels = [
        np.concatenate([np.full(round(seconds * RATE), 8000 * loud, np.int16) for seconds, loud in stretches])
        for stretches in parties
    ]
    with wave.open(str(path), "wb") as file:
        file.setparams((len(parties), 2, RATE, 0, "NONE", ""))
        file.writeframes(np.stack(channels, axis=1).tobytes())
    names = ["agent", "customer"][: len(parties)]
    path.with_name(f"{path.name}.json").write_text(json.dumps({"parties": names, "start": 0.0, **(about or {})}))
    return describe({"path": str(path), "sha256": "00"})


def test_metadata_are_shown_without_what_the_peer_said_of_itself(tmp_path):
    about = {"session": {"ani": "+1 555 MARKER"}, "agents": [{"name": "MARKER"}], "complete": True, "holds": []}
    file = recording(tmp_path / "a.wav", [(1.0, True)], about=about)
    assert file["bytes"] == 16044
    assert file["about"] == {"parties": ["agent"], "start": 0.0, "complete": True, "holds": []}


def test_a_file_that_is_gone_is_told_and_one_without_metadata_too(tmp_path):
    gone = {"path": str(tmp_path / "a.wav"), "sha256": None}
    assert describe(gone) == {**gone, "bytes": None, "about": None}
    (tmp_path / "a.wav").write_bytes(b"x")
    (tmp_path / "a.wav.json").write_text("[]")
    assert describe(gone) == {**gone, "bytes": 1, "about": None}


def test_talk_is_what_is_loud_in_each_channel_and_a_short_pause_is_part_of_it(tmp_path):
    agent = [(1.0, False), (2.0, True), (0.3, False), (1.7, True), (5.0, False)]
    customer = [(6.0, False), (1.0, True), (1.0, False), (2.0, True)]
    file = recording(tmp_path / "a.wav", agent, customer)
    assert talk([file]) == [
        {"track": "agent", "start": 1.0, "end": 5.0},
        {"track": "customer", "start": 6.0, "end": 7.0},
        {"track": "customer", "start": 8.0, "end": 10.0},
    ]


def test_the_second_file_of_a_call_begins_where_the_call_stood(tmp_path):
    files = [
        recording(tmp_path / "a.wav", [(1.0, True), (1.0, False)]),
        recording(tmp_path / "a-2.wav", [(1.0, True)], about={"start": 2.0}),
    ]
    assert [(one["start"], one["end"]) for one in talk(files)] == [(0.0, 1.0), (2.0, 3.0)]


def test_a_long_recording_is_read_in_parts_with_the_same_result(tmp_path, monkeypatch):
    stretches = [(3.0, False), (4.0, True), (3.0, False), (2.0, True)]
    file = recording(tmp_path / "a.wav", stretches)
    whole = talk([file])
    monkeypatch.setattr(call_files, "MAX_READ", 0.7)
    assert (
        talk([file])
        == whole
        == [
            {"track": "agent", "start": 3.0, "end": 7.0},
            {"track": "agent", "start": 10.0, "end": 12.0},
        ]
    )


def test_silence_is_no_talk_and_a_file_that_cannot_be_read_is_unknown(tmp_path):
    assert talk([recording(tmp_path / "a.wav", [(1.0, False)])]) == []
    assert talk([]) is None
    (tmp_path / "c.flac").write_bytes(b"fLaC")
    (tmp_path / "c.flac.json").write_text(json.dumps({"parties": ["agent"]}))
    assert talk([describe({"path": str(tmp_path / "c.flac"), "sha256": None})]) is None


def text(track, start, words, utterance, **more):
    return json.dumps(
        {"track": track, "start": start, "end": start + 1, "text": words, "final": True, "utterance": utterance, **more}
    )


def test_words_come_from_the_transcript_in_the_order_of_their_starts(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        "\n".join(
            [
                text("customer", 5.0, "Hi", 0, final=False),
                text("agent", 1.0, "Hello.", 0, lag=0.4),
                "torn {",
                text("customer", 5.0, "Hi there.", 0, uncertain=True, language="en"),
                text("agent", 8.0, "", 1, gap="untranscribed"),
            ]
        )
    )
    found = words([str(tmp_path / "a.wav"), str(path)])
    assert [(one["track"], one["text"], one["gap"], one["uncertain"]) for one in found] == [
        ("agent", "Hello.", "", False),
        ("customer", "Hi there.", "", True),
        ("agent", "", "untranscribed", False),
    ]


def test_without_a_transcript_the_words_are_unknown_and_a_huge_one_is_not_read(tmp_path, monkeypatch):
    assert words([str(tmp_path / "a.wav"), str(tmp_path / "gone.jsonl")]) is None
    (tmp_path / "a.jsonl").write_text(text("agent", 1.0, "Hello.", 0))
    monkeypatch.setattr(call_files, "MAX_BYTES", 10)
    assert words([str(tmp_path / "a.jsonl")]) is None
