"""What `explain` says is what the engine does."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowcore import Audio, Format, Packet
from flowcore.graph.explain import SLOT, explain
from flowcore.graph.load import load, load_text
from flowcore.graph.negotiate import compile_graph
from flowcore.testing import NodeHarness
from nodes.audio import rates
from nodes.transforms.interleave import Interleave
from nodes.transforms.reorder import Reorder
from nodes.transforms.resample import Resample

ROOT = Path(__file__).parents[2]
A_NODE_FOR_EACH_PARTY = explain(
    compile_graph(
        load_text(
            "flowcore: 1\nnodes:\n"
            "  call: {use: ringcx}\n"
            "  ordered: {use: reorder, from: call}\n"
            "  voices: {use: decode_mulaw, from: ordered}\n"
            "  wav: {use: wav_file, from: voices}\n"
            "  speech: {use: resample, from: voices, with: {rate: 16000}}\n"
            "  party: {use: split, from: speech}\n"
            "  agent: {use: transcribe, from: party.agent}\n"
            "  caller: {use: transcribe, from: party.customer}\n"
            "  text: {use: transcript_file, from: [agent, caller]}\n"
        )
    )
)


def explained(name, *settings):
    return explain(compile_graph(load(ROOT / "graphs" / f"{name}.yaml", settings)))


def test_chains_hold_all_nodes_in_order_each_behind_its_queue():
    found = explained("transcribe")
    assert [[node.name for node in chain.nodes] for chain in found.chains] == [
        ["call", "ordered", "voices", "voices~interleave"],
        ["wav"], ["clean", "speech"], ["words"], ["text"], ["console"], ["page"],
    ]  # fmt: skip
    assert [chain.runs for chain in found.chains] == ["event loop"] + ["thread"] * 6
    assert [chain.border.on_full for chain in found.chains[1:]] == [
        "drop_newest", "drop_oldest", "drop_oldest", "drop_newest", "drop_oldest", "drop_oldest",
    ]  # fmt: skip


def test_wires_are_named_as_a_graph_writes_them_and_carry_their_format():
    steps = {node.name: node for chain in A_NODE_FOR_EACH_PARTY.chains for node in chain.nodes}
    assert steps["agent"].inputs == ("party.agent",)
    assert steps["party"].gives == dict.fromkeys(("agent", "customer"), "audio s16 16 kHz mono")
    assert steps["text"].inputs == ("agent", "caller")
    assert (steps["wav"].caps, steps["wav"].gives) == ("audio s16 8 kHz stereo", {})
    assert [name for name, step in steps.items() if step.inserted] == ["voices~interleave"]


def test_equal_resources_are_shared_by_their_nodes():
    assert ("DecoderResource", ("agent", "caller")) in A_NODE_FOR_EACH_PARTY.shared


def test_latency_adds_up_along_the_slowest_way_to_each_end():
    [path] = explained("record", "ordered.window=100ms", "ordered.chunk=40ms").latency
    assert path.to == "wav"
    assert path.delays == (("slot", SLOT), ("ordered", 0.29), ("voices~interleave", 5.0), ("slot", SLOT))
    assert path.seconds == pytest.approx(5.33)
    assert path.typical == pytest.approx(0.06)  # two half slots, and the chunk


def test_typical_latency_of_words_is_that_of_the_first_ones_and_not_of_the_longest_utterance():
    paths = {path.to: path for path in explained("transcribe").latency}
    assert paths["page"].seconds > 12
    assert 0.7 < paths["page"].typical < 1.2  # the pause that ends an utterance, and what comes before it
    assert paths["wav"].typical < 0.2
    later = {path.to: path for path in explained("transcribe", "words.interim=0s").latency}
    assert later["page"].typical == pytest.approx(paths["page"].typical)  # the pause that ends an utterance


def test_a_file_waits_for_no_slot():
    [path] = explained("simulate").latency
    assert path.delays == (("slot", SLOT),)  # of the border


def test_memory_is_what_the_queues_hold_in_their_formats():
    found = explained("record", "wav.queue.max=10s")
    [border] = [chain.border for chain in found.chains if chain.border]
    assert border.bytes == 10 * 8000 * 2 * 2
    assert found.memory.most - explained("record", "wav.queue.max=5s").memory.most == border.bytes / 2


def test_memory_differs_between_graphs_and_counts_what_nodes_delay():
    memory = {name: explained(name).memory for name in ("simulate", "monitor", "record", "transcribe")}
    usual = [one.usual for one in memory.values()]
    assert usual == sorted(set(usual))
    assert 38 << 10 <= memory["record"].usual <= 48 << 10  # `make bench` measures 42 KiB
    assert memory["transcribe"].usual > memory["record"].usual + 2 * 16000 * 2  # a second of both parties
    assert all(one.most > one.usual for one in memory.values())
    patient = explained("transcribe", "words.max_segment=24s").memory
    assert patient.most - memory["transcribe"].most == 2 * 12 * 16000 * 2  # of both parties


@pytest.mark.parametrize("name", ["record", "transcribe", "simulate"])
def test_all_of_it_is_json(name):
    found = asdict(explained(name))
    assert json.loads(json.dumps(found))["chains"][0]["nodes"][0]["gives"]


def test_a_graph_of_packets_only_has_their_size():
    text = "flowcore: 1\nnodes:\n  a: {use: ringcx}\n  b: {use: reorder, from: a, queue: {max: 1s}}\n"
    found = explain(compile_graph(load_text(text + "  c: {use: wav_file, from: b}\n")))
    assert found.chains[1].border.bytes > 8000


def held_back(harness, chunks, rate):
    """The longest time, in seconds of media, that what had come in at ``rate`` was not out, over all chunks."""
    worst = out = came = 0.0
    for chunk in chunks:
        came = max(came, chunk.end / chunk.rate)
        harness.push(chunk)
        out = max([out, *(one.end / rate for one in harness.out)])
        worst = max(worst, came - out)
    return worst


@settings(max_examples=40, deadline=None)
@given(
    pair=st.tuples(*[st.sampled_from([8000, 11025, 16000, 22050, 24000, 44100, 48000])] * 2),
    quality=st.sampled_from(sorted(get_args(rates.Quality))),
    chunk=st.sampled_from([0.01, 0.02, 0.1, 0.5]),
)
def test_resample_holds_back_no_more_than_it_says(pair, quality, chunk):
    before, after = pair
    config = Resample.Config(rate=after, quality=quality)
    harness = NodeHarness(Resample, {"rate": after, "quality": quality})
    size = round(before * chunk)
    sound = [Audio(np.zeros(size, np.int16), "s16", before, "agent", n * size) for n in range(round(2 / chunk))]
    says = Resample.latency(config, Format("audio", "s16", before, "tracks"))
    assert held_back(harness, sound, after) <= says + 1e-9


@settings(max_examples=40, deadline=None)
@given(ahead=st.floats(0, 3), wait=st.sampled_from([0.1, 0.5, 1.0]))
def test_interleave_holds_back_no_more_than_it_says(ahead, wait):
    harness = NodeHarness(Interleave, {"wait": f"{wait * 1000:.0f}ms"})
    sound = [Audio(np.zeros(160, np.int16), "s16", 8000, "agent", n * 160) for n in range(200)]
    late = [Audio(np.zeros(160, np.int16), "s16", 8000, "customer", n * 160) for n in range(round(200 - ahead * 50))]
    order = sorted(sound + late, key=lambda c: c.start + (ahead * 8000 if c.track == "customer" else 0))
    config = Interleave.Config(wait=f"{wait * 1000:.0f}ms")
    says = Interleave.latency(config, Format("audio", "s16", 8000, "tracks"))
    assert held_back(harness, order, 8000) <= says + 0.02  # the chunk in hand


@settings(max_examples=60, deadline=None)
@given(
    lost=st.sets(st.integers(0, 299), max_size=40),
    late=st.dictionaries(st.integers(0, 299), st.floats(0, 0.1), max_size=40),
    window=st.sampled_from([0.06, 0.12, 0.3]),
    chunk=st.sampled_from([0.02, 0.1, 0.2]),
)
@pytest.mark.slow
def test_reorder_holds_back_no_more_than_it_says(lost, late, window, chunk):
    config = {"window": f"{window * 1000:.0f}ms", "chunk": f"{chunk * 1000:.0f}ms"}
    harness = NodeHarness(Reorder, config)
    packets = [
        Packet("agent", number, bytes(160), number * 0.02 + late.get(number, 0.0))
        for number in range(300)
        if number not in lost
    ]
    says = Reorder.latency(Reorder.Config(**config), Format("packets", "mulaw", 8000, "tracks"))
    worst = 0.0
    for packet in sorted(packets, key=lambda packet: packet.arrived):
        harness.push(packet)
        out = max([0.0, *(one.end / 8000 for one in harness.out)])
        first = min(packet.seq for packet in packets)
        worst = max(worst, packet.arrived - first * 0.02 - out)
    assert worst <= says + 0.1 + 0.02  # what the network itself was late, and the packet in hand
