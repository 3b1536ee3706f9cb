"""What of a graph can be replaced in a running process, and what needs a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowcore.errors import GraphError
from flowcore.graph import compile_graph, load_graph
from flowcore.graph.replacement import check_replacement
from tests.support.live import ROOT

RECORD = (ROOT / "graphs" / "record.yaml").read_text()
TRANSCRIBE = (ROOT / "graphs" / "transcribe.yaml").read_text()


def check(folder: Path, before: str, after: str) -> None:
    path = folder / "my.yaml"
    path.write_text(before)
    running = compile_graph(load_graph(path))
    path.write_text(after)
    graph = load_graph(path)
    check_replacement(running, graph, compile_graph(graph))


def test_all_but_the_listener_can_be_replaced(tmp_path):
    check(tmp_path, RECORD, RECORD.replace("120ms", "200ms").replace("  wav:", "  file:"))


def test_a_default_may_be_written_out(tmp_path):
    check(tmp_path, RECORD, RECORD.replace("{use: ringcx, with: {port: 3333}}", "{use: ringcx}"))


@pytest.mark.parametrize(
    ("graph", "old", "new", "message"),
    [
        (RECORD, "port: 3333", "port: 3334", "port of call stays as it is"),
        (RECORD, "port: 3333", "port: 3333, max_speed: 5", "max_speed of call stays as it is"),
        (RECORD, "use: ringcx,", "use: ringcx_grpc,", "call (ringcx) and its code stay as they are"),
        (TRANSCRIBE, "from: words, with: {secret", "from: words, with: {viewers: 3, secret", "page is served"),
    ],
)
def test_what_needs_a_restart_is_named_where_it_stands(tmp_path, graph, old, new, message):
    with pytest.raises(GraphError) as caught:
        check(tmp_path, graph, graph.replace(old, new))
    (problem,) = caught.value.problems
    assert problem.code == "needs-restart"
    assert problem.message.startswith(message)
    assert new in problem.line
