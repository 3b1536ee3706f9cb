"""What a hop, a border and a chunk cost, beside the cheapest Python of their kind, does not creep up."""

import json

import pytest
from rich.console import Console

from tests.bench import micro
from tests.bench.__main__ import EXPECTED, Bench, gate


@pytest.mark.slow
def test_hop_border_and_chunk_cost_what_they_did() -> None:
    bench = Bench(quick=True, console=Console())
    bench.ratios = {name: measure(41).ratio for name, measure in micro.MICRO.items()}
    assert gate(bench) == 0


def test_a_ratio_that_stays_a_fifth_higher_is_worse(monkeypatch, capsys) -> None:
    expected = json.loads(EXPECTED.read_text())
    monkeypatch.setattr("tests.bench.__main__.again", lambda name: expected[name] * 1.21)
    bench = Bench(quick=True, console=Console())
    bench.ratios = {"hop": expected["hop"] * 1.3, "border": expected["border"] * 1.19}
    assert gate(bench) == 1
    said = capsys.readouterr().out
    assert "WORSE: hop" in said
    assert "fine: border" in said


def test_a_hiccup_is_no_regression(monkeypatch) -> None:
    expected = json.loads(EXPECTED.read_text())
    monkeypatch.setattr("tests.bench.__main__.again", lambda name: expected[name])
    bench = Bench(quick=True, console=Console())
    bench.ratios = {"hop": expected["hop"] * 5}
    assert gate(bench) == 0
