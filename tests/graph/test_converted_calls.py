"""Whole calls through graphs that leave the converting to flowcore: not one sample differs from what was said."""

from __future__ import annotations

import wave

import numpy as np
import pytest

from flowcore.graph.load import load_text
from flowcore.graph.negotiate import compile_graph
from nodes.audio import g711
from tests.support.live import ROOT, Live
from tests.support.phone import said, stereo
from tools.load import Load, call_id


def without_decoder(name, settings):
    """The graph, whose recorder then gets what comes over the wire."""
    text = (ROOT / "graphs" / f"{name}.yaml").read_text()
    line = "  voices: {use: decode_mulaw, from: ordered}\n"
    assert line in text
    text = text.replace(line, "").replace("from: voices", "from: ordered")
    return compile_graph(load_text(text, settings=settings))


@pytest.mark.slow
def test_a_recorder_without_a_decoder_keeps_the_same_sound_as_mulaw(tmp_path):
    settings = ["call.port=0", f"wav.path={tmp_path}/{{call_id}}.wav", "ordered.hold=collapse"]  # see Live
    with Live("record", settings, calls=1, change=lambda _: without_decoder("record", settings)) as live:
        Load(live.url, 1, 2.0).run()
    recorded = (tmp_path / f"{call_id(0)}.wav").read_bytes()
    with pytest.raises(wave.Error, match="unknown format: 7"):  # G.711 mu-law, which Python's own reader does not know
        stereo(tmp_path / f"{call_id(0)}.wav")
    sound = said(0, 2.0)
    assert len(recorded) < sound.nbytes * 0.6
    data = np.frombuffer(recorded[-sound.size :], np.uint8).reshape(-1, 2)
    assert np.array_equal(g711.decode(data), sound)
    assert live.dropped() == {}


@pytest.mark.slow
def test_the_recorder_as_it_is_shipped_gets_both_parties_from_a_converter(tmp_path):
    settings = ["call.port=0", f"wav.path={tmp_path}/{{call_id}}.wav"]
    with Live("record", settings, calls=1) as live:
        Load(live.url, 1, 1.0).run()
    assert live.plan.nodes["voices~interleave"].inserted
    assert np.array_equal(stereo(tmp_path / f"{call_id(0)}.wav"), said(0, 1.0))
