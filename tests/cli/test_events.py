"""Every event and reason is declared once, and the page about them is current."""

import json
import re
from pathlib import Path

import pytest

from flowcore.cli.events import declared, page
from flowcore.events import ENGINE_EVENTS, ENGINE_REASONS, EventType, Reason
from flowcore.registry import available

ROOT = Path(__file__).parents[2]
OURS = [entry.load() for name, entry in sorted(available().items()) if entry.module.startswith("nodes.")]
EVENTS, REASONS = declared(OURS)


def test_the_page_in_docs_is_what_the_declarations_say_now():
    assert (ROOT / "docs" / "events.md").read_text() == page(EVENTS, REASONS), "run  make docs"


@pytest.mark.parametrize("rows", [EVENTS, REASONS], ids=["events", "reasons"])
def test_a_name_has_one_meaning(rows):
    names = [row.name for row in rows]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("row", EVENTS, ids=lambda row: row.name)
def test_an_event_is_a_noun_and_what_happened_to_it(row):
    assert re.fullmatch(r"[a-z]+(_[a-z]+)+", row.name)
    assert row.level in ("info", "warning", "error")
    assert all(text.endswith((".", "…")) for text in (row.meaning, *row.fields.values()))


def test_no_node_declares_again_what_the_engine_has():
    engine = {event.name for event in ENGINE_EVENTS} | {reason.name for reason in ENGINE_REASONS}
    assert not engine & {row.name for row in (*EVENTS, *REASONS) if row.nodes}


def test_fields_that_many_events_have_need_no_words_of_their_own():
    assert EventType("x_found", "Found.", path="").fields == {"path": "Path of the file."}
    with pytest.raises(KeyError, match="strange"):
        EventType("x_found", "Found.", strange="")


def test_the_command_lists_all(flowcore):
    lines = flowcore("events").out.splitlines()
    assert any(line.startswith("flow_opened") for line in lines)
    assert any(re.match(r"late +reason ", line) for line in lines)
    told = json.loads(flowcore("events", "--json").out)
    assert {"name", "meaning", "level", "fields", "nodes"} == set(told["events"][0])
    assert "wav_file" in next(row for row in told["events"] if row["name"] == "file_finished")["nodes"]


def test_a_reason_is_one_object_wherever_it_is_used():
    late = next(row for row in REASONS if row.name == "late")
    assert {"reorder", "interleave", "wav_file", "monitor"} <= set(late.nodes)
    assert isinstance(Reason("late", "Late."), Reason)
