"""The examples on the page about transcripts are what flowcore writes for its JSON lines."""

import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from flowcore import Session
from flowcore.graph.load import load_text
from flowcore.graph.negotiate import compile_graph
from nodes.transcripts import journal
from nodes.transcripts.formats import FORMATS
from nodes.transcripts.metadata import metadata

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "transcripts.md").read_text()
EXAMPLES = dict(re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.M | re.S))
NAMES = {"agent": "Agent", "customer": "Caller"}


@pytest.fixture
def transcript(tmp_path):
    started = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    session = Session("20260102T030405-0a1b2c3d", started, {"call_id": "7a1c", "session_id": "1"})
    lines = [msgspec.json.decode(line, type=journal.JournalLine) for line in EXAMPLES["jsonl"].splitlines()]
    (tmp_path / "part").write_bytes(
        journal.head(session) + b"".join(map(journal.entry, lines)) + journal.tail(16.0),
    )
    return journal.read(tmp_path / "part")


@pytest.mark.parametrize("kind", FORMATS)
def test_the_call_in_each_format(kind, transcript):
    assert FORMATS[kind](transcript, NAMES).decode() == EXAMPLES[kind]


def test_its_metadata(transcript):
    assert metadata(transcript, NAMES, "call.srt").decode() == EXAMPLES["json"]


def test_its_nodes_fit_into_the_graph_that_transcribes():
    plan = compile_graph(load_text((ROOT / "graphs" / "transcribe.yaml").read_text() + EXAMPLES["yaml"]))
    assert {"lines", "subs"} <= plan.nodes.keys()


def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
