"""A row says of a call what the event at its end says, and of a person no more than was asked for."""

from __future__ import annotations

import pytest

from flowcore import Text
from flowcore.call_log.rows import Recorder, WordCount, plain
from flowcore.testing import run_plan
from tests.engine.nodes import Keep, Tones, plan, step
from tests.faults.test_losses import over_a_line


def rows_of(plan, personal="keep", key=b"key"):
    written = []

    def prepare(engine):
        recorder = Recorder(lambda *entry: written.append(entry), personal, key)
        recorder.attach(engine)

    return run_plan(plan, prepare=prepare), written


def test_a_row_has_the_figures_of_the_event_at_the_end(tmp_path):
    result, written = rows_of(over_a_line(tmp_path, "{loss: 0.2, seed: 3}"))
    (begun, ended) = (row for _, row, _ in written)
    (event,) = result.named("flow_closed")
    assert "reason" not in begun
    assert ended["lost_ms"] > 0
    for name in ("reason", "seconds", "lost_ms", "lost", "lost_between", "silenced", "delay_ms", "parties", "call_id"):
        assert ended[name] == event.data[name], name
    assert ended["flow"] == event.flow
    assert ended["words"] is None
    assert written[-1][2] == event.data["files"]


NUMBERS = {"call_id": "uii-1", "dialog_id": "d-1", "ani": "+15550100", "dnis": "+15550101", "other": "+15550102"}


class Numbered(Tones):
    """A call with phone numbers."""

    call_ids = ("call_id", "dialog_id", "ani", "dnis")
    personal = ("ani", "dnis")

    async def run(self, host):
        host.accept(NUMBERS).end("done")


def numbered(personal, key=b"key"):
    _, written = rows_of(plan(step("call", Numbered), step("sink", Keep, "call")), personal, key)
    return written[-1][1]


@pytest.mark.parametrize("personal", ["keep", "hash", "omit"])
def test_numbers_are_kept_hashed_or_left_out_and_ids_stay(personal):
    row = numbered(personal)
    assert row["call_id"] == "uii-1"
    assert row["ids"] == {"call_id": "uii-1", "dialog_id": "d-1"}
    assert ("+1555010" in repr(row)) == (personal == "keep")
    assert set(row["attributes"]) == (set() if personal == "omit" else {"ani", "dnis", "other"})


def test_hashes_are_equal_for_equal_numbers_and_differ_with_the_key():
    first, second, other = (numbered("hash", key)["attributes"] for key in (b"1", b"1", b"2"))
    assert first == second
    assert not set(first.values()) & set(other.values())


def test_words_of_final_texts_are_counted():
    count = WordCount()
    text = Text("agent", 0.0, 1.0, "one two three", True, 0)
    count(text)
    count(Text("agent", 0.0, 1.0, "one two", False, 1))
    assert count.words == 3


def test_what_a_peer_chose_fits_every_database():
    assert plain("a\0b\ud800\n") == r"a\x00b\ud800\n"
    assert len(plain("x" * 100_000)) == 1000
