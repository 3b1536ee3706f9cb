import hashlib
import json
from dataclasses import replace

import pytest

from flowcore.testing import SESSION
from nodes.recording import journal

HEAD = journal.head(SESSION, 2, "x.wav", 1.5)
FORMAT = journal.SampleFormat("s16", 8000, ["agent", "customer"])
HOLD, GAP = journal.Hold(2.0, 3.0), journal.Gap(0.5, 1.5, "disk_full")
TAIL = journal.Tail("call", {"late": 0.25})


def written(path, *records):
    path.write_bytes(b"".join(map(journal.encode, records)))
    return path


def metadata(tmp_path, *records):
    recording = tmp_path / "x-2.wav.part"
    recording.write_bytes(b"samples")
    return json.loads(
        journal.metadata(journal.read(written(tmp_path / "j", *records)), "x-2.wav", recording, "wav", 4.0)
    )


def test_every_record_is_read_as_it_was_written(tmp_path):
    found = journal.read(written(tmp_path / "j", HEAD, FORMAT, HOLD, GAP, TAIL))
    assert found == journal.Journal(HEAD, FORMAT, [HOLD], [GAP], TAIL)


def test_records_keep_their_names_on_the_disk():
    tags = [json.loads(journal.encode(record))["type"] for record in (HEAD, FORMAT, HOLD, GAP, TAIL)]
    assert tags == ["head", "sound", "hold", "gap", "tail"]


def test_a_missing_journal_is_empty(tmp_path):
    assert journal.read(tmp_path / "none") == journal.Journal()


@pytest.mark.parametrize("torn", [b'{"type":"hold","sta', b"\xff\xfe\n", b'{"type":"other"}\n', b"\0\0\0"])
def test_torn_lines_are_counted_and_the_rest_is_read(tmp_path, torn):
    path = written(tmp_path / "j", HEAD, FORMAT)
    path.write_bytes(path.read_bytes() + torn)
    found = journal.read(path)
    assert (found.head, found.format, found.unreadable) == (HEAD, FORMAT, 1)


def test_attributes_of_the_peer_are_cut_to_their_maximum_length():
    session = replace(SESSION, attributes={"n" * 300: "v" * 300})
    assert journal.head(session, 1, "", 0.0).session == {"n" * 256: "v" * 256}


def test_the_journal_of_a_partial_file_is_partial_too(tmp_path):
    assert journal.path_of(tmp_path / "x.wav.part") == tmp_path / "x.wav.json.part"


def test_metadata_hold_all_records_and_the_checksum_of_the_file(tmp_path):
    assert metadata(tmp_path, HEAD, FORMAT, HOLD, GAP, TAIL) == {
        "recording": "x-2.wav",
        "flow": "test-flow",
        "started": SESSION.started.isoformat(),
        "seconds": 4.0,
        "complete": False,  # because of the gap
        "end": "call",
        "segment": 2,
        "previous": "x.wav",
        "start": 1.5,
        "session": dict(SESSION.attributes),
        "format": "wav",
        "encoding": "s16",
        "rate": 8000,
        "parties": ["agent", "customer"],
        "bytes": 7,
        "sha256": hashlib.sha256(b"samples").hexdigest(),
        "holds": [{"start": 2.0, "end": 3.0}],
        "gaps": [{"start": 0.5, "end": 1.5, "reason": "disk_full"}],
        "dropped": {"late": 0.25},
    }


@pytest.mark.parametrize(
    ("end", "complete"), [("call", True), ("max", True), ("length", True), ("disk_full", False), ("disk_failed", False)]
)
def test_only_planned_ends_are_complete(tmp_path, end, complete):
    assert metadata(tmp_path, HEAD, journal.Tail(end, {}))["complete"] is complete


def test_without_a_tail_the_writer_was_killed(tmp_path):
    found = metadata(tmp_path, HEAD, FORMAT)
    assert (found["end"], found["complete"], found["dropped"]) == ("killed", False, None)


def test_without_any_record_the_metadata_still_describe_the_file(tmp_path):
    found = metadata(tmp_path)
    unknown = ("started", "segment", "previous", "start", "encoding", "rate", "dropped")
    assert [found[name] for name in unknown] == [None] * 7
    assert (found["recording"], found["seconds"], found["parties"], found["session"]) == ("x-2.wav", 4.0, [], {})


def test_unreadable_lines_are_reported_in_the_metadata(tmp_path):
    recording = tmp_path / "x.wav.part"
    recording.touch()
    (tmp_path / "j").write_bytes(b"torn")
    about = json.loads(journal.metadata(journal.read(tmp_path / "j"), "x.wav", recording, "wav", 0.0))
    assert about["unreadable_lines"] == 1
