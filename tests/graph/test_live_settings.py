"""A plan with other values of live fields, and what a change of a running call cannot be."""

from __future__ import annotations

import pytest

from flowcore.errors import GraphError
from flowcore.graph import compile_graph
from flowcore.graph.live_settings import with_settings
from flowcore.graph.load import load_text

GRAPH = """
flowcore: 1
nodes:
  call: {use: ringcx, with: {port: 3333}}
  ordered: {use: reorder, from: call, with: {window: 120ms}}
  voices: {use: decode_mulaw, from: ordered}
  louder: {use: volume, from: voices, with: {level: 6dB}}
  both: {use: mix, from: louder}
  wav: {use: wav_file, from: both, with: {path: "{flow}.wav"}}
"""


def running(*settings: str):
    return compile_graph(load_text(GRAPH, "my.yaml", settings))


def test_a_plan_with_other_values_is_the_same_but_for_these():
    plan = running()
    changed = with_settings(plan, ["louder.level=-3dB", "both.halve=true"])
    assert changed.nodes["louder"].config.level == -3
    assert changed.nodes["both"].config.halve is True
    assert changed.sources == plan.sources
    assert changed.sha256 != plan.sha256
    assert plan.nodes["louder"].config.level == 6
    for name in plan.nodes.keys() - {"louder", "both"}:
        assert changed.nodes[name] is plan.nodes[name]


def test_settings_of_the_start_stay_and_changes_of_one_field_do_not_pile_up():
    plan = running("louder.level=1dB", "ordered.window=200ms")
    for level in range(50):
        plan = with_settings(plan, [f"louder.level={level % 40}dB"])
    assert plan.settings == ("ordered.window=200ms", "louder.level=9dB")


@pytest.mark.fault(92)
@pytest.mark.parametrize(
    ("setting", "code", "text"),
    [
        ("louder.level=loud", "bad-value", "louder (volume): level"),
        ("louder.level=41dB", "bad-value", "louder (volume): level"),
        ("louder.level=1e999dB", "bad-value", "louder (volume): level"),
        ("louder.level={__import__('os')}", "unit-missing", "level needs a unit"),
        ("louder.lvl=1dB", "unknown-field", 'did you mean "level"?'),
        ("loder.level=1dB", "unknown-node", 'did you mean "louder"?'),
        ("louder.level", "bad-setting", "a setting is node.key=value"),
        ("ordered.window=1s", "needs-reload", "window of ordered (reorder) stays as it is during a call"),
        ("call.port=1", "needs-reload", "port of call (ringcx) stays as it is during a call"),
        ("wav.queue.max=5s", "needs-reload", "wav would work in another way"),
    ],
)
def test_what_is_wrong_or_not_live_is_named(setting, code, text):
    with pytest.raises(GraphError) as error:
        with_settings(running(), ["louder.level=1dB", setting])
    (problem,) = error.value.problems
    assert problem.code == code
    assert text in str(problem)


def test_a_field_that_is_not_live_is_answered_with_those_that_are():
    with pytest.raises(GraphError) as error:
        with_settings(running(), ["ordered.window=1s", "louder.level=1dB"])
    assert "write it into the graph and run  flowcore reload: new calls get it" in str(error.value)
    graph = GRAPH.replace("{use: ringcx, with: {port: 3333}}", "{use: ringcx}")
    assert with_settings(compile_graph(load_text(graph, "my.yaml")), ["louder.level=1dB"])
