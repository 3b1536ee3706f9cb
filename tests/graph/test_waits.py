"""A node that waits less long for a party than the nodes before it may hold that party back is refused."""

import pytest

from flowcore.errors import GraphError
from flowcore.graph.load import load_text
from flowcore.graph.negotiate import compile_graph
from flowcore.node import Config, Sink

CALL = "flowcore: 1\nnodes:\n  call: {use: ringcx}\n"
FILE = "  wav: {use: wav_file, from: both, with: {path: a.wav}}\n"


def problem_of(text):
    with pytest.raises(GraphError) as error:
        compile_graph(load_text(CALL + text, "g.yaml"))
    [problem] = error.value.problems
    return problem


@pytest.mark.fault(71)
@pytest.mark.parametrize(
    ("delays", "wait", "behind", "enough"),
    [("window: 3s", "5s", 7.6, "8s"), ("chunk: 2s", "1s", 2.3, "3s"), ("window: 2s, chunk: 2s", "6s", 7, "7s")],
)
def test_a_wait_that_is_shorter_than_the_delays_before_it_is_shown_in_its_field(delays, wait, behind, enough):
    problem = problem_of(
        f"  ordered: {{use: reorder, from: call, with: {{{delays}}}}}\n"
        f"  both: {{use: interleave, from: ordered, with: {{wait: {wait}}}}}\n" + FILE
    )
    assert problem.code == "wait-too-short"
    assert (problem.position.line, problem.position.column) == (5, 55)
    assert problem.message == f'"both" waits {wait} for a party that may be {behind:g} s behind'
    assert problem.notes == (
        f'"ordered" (reorder, g.yaml:4:3) holds a party back for up to {behind:g} s',
        f'write  wait: {enough}  in "both", or lower these delays',
    )


@pytest.mark.fault(71)
@pytest.mark.parametrize(("window", "wait"), [("120ms", 5.0), ("3s", 8.0)])
def test_an_inserted_node_waits_long_enough(window, wait):
    plan = compile_graph(
        load_text(
            CALL + f"  ordered: {{use: reorder, from: call, with: {{window: {window}}}}}\n"
            "  voices: {use: decode_mulaw, from: ordered}\n"
            "  wav: {use: wav_file, from: voices, with: {path: a.wav}}\n",
            "g.yaml",
        )
    )
    (inserted,) = [node for node in plan.nodes.values() if node.inserted]
    assert (inserted.cls.name, inserted.config.wait) == ("interleave", wait)


@pytest.mark.fault(71)
def test_what_the_advice_says_passes():
    compile_graph(
        load_text(
            CALL + "  ordered: {use: reorder, from: call, with: {window: 3s}}\n"
            "  both: {use: interleave, from: ordered, with: {wait: 8s}}\n" + FILE
        )
    )


def test_delays_of_packets_are_the_networks():
    """Each packet has the time of its arrival, and a line that freezes delays both parties."""
    compile_graph(
        load_text(
            CALL + "  bad: {use: netsim, from: call, with: {freeze: 6s, freeze_every: 20s}}\n"
            "  ordered: {use: reorder, from: bad}\n  both: {use: interleave, from: ordered}\n" + FILE
        )
    )


def test_a_node_that_waits_by_a_field_that_it_does_not_have_is_refused_where_it_is_written():
    with pytest.raises(TypeError, match=r"Patient\.waits: its config has no field \"patience\""):

        class Patient(Sink[object, Config]):
            waits = "patience"
