"""A plan's checksum stands for the texts and settings from which it was made."""

from __future__ import annotations

import hashlib

from flowcore.graph import compile_graph, load_graph
from tests.support.live import ROOT

RECORD = ROOT / "graphs" / "record.yaml"


def test_the_checksum_of_a_graph_in_one_file_is_that_of_the_file():
    plan = compile_graph(load_graph(RECORD))
    assert plan.sha256 == hashlib.sha256(RECORD.read_bytes()).hexdigest()
    assert compile_graph(load_graph(RECORD, ["call.port=0"])).sha256 != plan.sha256
