"""Formats travel down the wires; converters are put in where there is one way to, and never where there are two."""

from dataclasses import replace
from pathlib import Path

import pytest

from flowcore import ANY_AUDIO, Audio, Caps, Config, Emit, Format, Sink, Transform, node
from flowcore.errors import GraphError
from flowcore.graph.load import load, load_text
from flowcore.graph.negotiate import compile_graph
from flowcore.registry import Entry, available

ROOT = Path(__file__).parents[2]
CALL = "flowcore: 1\nnodes:\n  call: {use: ringcx}\n  ordered: {use: reorder, from: call}\n"
FILE = "flowcore: 1\nnodes:\n  voices: {use: wav_source, with: {path: a.wav, rate: 24kHz}}\n"


@node("narrow")
class Narrow(Sink[Audio]):
    """Takes two rates, so that there are two ways to get there."""

    caps = (Caps("audio", ("s16",), (8000, 16000), ("tracks",)),)

    def process(self, chunk: Audio) -> None:
        raise NotImplementedError


@node("either")
class Either(Narrow):
    """Takes either of two formats, and two converters lead there, one to each."""

    caps = (Caps("audio", ("s16",), (8000,)), Caps("audio", ("s16",), (16000,)))


class ChoosyConfig(Config):
    encoding: str = "s16"
    """The only one."""


@node("choosy")
class Choosy(Narrow):
    """What it takes depends on its config, as on a recogniser's engine."""

    Config = ChoosyConfig
    caps = (Caps("audio", ("s16", "mulaw")),)

    @classmethod
    def accepts(cls, config: ChoosyConfig) -> tuple[Caps, ...]:
        return (Caps("audio", (config.encoding,), (8000,)),)


@node("louder")
class Louder(Transform[Audio, Audio]):
    """A way to the same format as ``interleave`` that means something else."""

    caps = (ANY_AUDIO,)

    @classmethod
    def gives(cls, config: Config, given: Format) -> Format:
        return replace(given, layout="stereo")

    @classmethod
    def converts(cls, wanted: Caps) -> Config | None:
        return cls.Config() if "stereo" in wanted.layouts else None

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        raise NotImplementedError


REGISTRY = dict(available()) | {cls.name: Entry(cls.name, __name__, cls.__name__) for cls in (Narrow, Either, Choosy)}
TRANSFORMS = tuple(entry.load() for entry in available().values() if ".transforms." in entry.module)


def plan_of(text, **options):
    return compile_graph(load_text(text, "g.yaml", registry=REGISTRY), **options)


def problem_of(text, **options):
    with pytest.raises(GraphError) as error:
        plan_of(text, **options)
    [problem] = error.value.problems
    return problem


def heard(plan):
    """What each node that the file names gets, and what each sink gets it through."""
    return {node.name: node.given for node in plan.nodes.values() if not node.inserted}


def kinds_before(plan, name):
    """The types of all nodes between the listener and ``name``."""
    found = []
    while plan.nodes[name].inputs:
        name = plan.nodes[name].inputs[0][0]
        found.append(plan.nodes[name].cls.name)
    return found


def test_transcribe_works_without_its_decoder_and_its_resampler():
    path = ROOT / "graphs" / "transcribe.yaml"
    lines = path.read_text().splitlines(keepends=True)
    text = "".join(line for line in lines if not line.startswith(("  voices:", "  speech:")))
    assert text.count("\n") == len(lines) - 2
    text = text.replace("from: voices", "from: ordered").replace("from: speech", "from: clean")
    short, full = compile_graph(load_text(text)), compile_graph(load(path))
    for name in ("words", "text", "console", "page"):
        assert short.nodes[name].given == full.nodes[name].given
        assert short.nodes[name].border == full.nodes[name].border
    assert sorted(kinds_before(short, "words")) == sorted(kinds_before(full, "words"))
    # The recorder takes mu-law as it is, so nothing is decoded for it: the same sound in half the bytes.
    assert short.nodes["wav"].given == replace(full.nodes["wav"].given, encoding="mulaw")
    assert kinds_before(short, "wav") == ["interleave", "reorder", "ringcx"]


def test_siblings_share_what_is_put_in_for_them():
    plan = plan_of(CALL + "  a: {use: transcribe, from: ordered}\n  b: {use: transcribe, from: ordered}\n"
                   "  text: {use: console, from: [a, b]}\n")  # fmt: skip
    assert [node.name for node in plan.nodes.values() if node.inserted] == ["ordered~decode_mulaw", "ordered~resample"]
    assert plan.nodes["a"].inputs == plan.nodes["b"].inputs == (("ordered~resample", 0),)


def test_two_parties_that_meet_in_a_recorder_are_interleaved_there():
    plan = plan_of(FILE + "  party: {use: split, from: voices}\n"
                   "  wav: {use: wav_file, from: [party.agent, party.customer]}\n")  # fmt: skip
    assert plan.nodes["party~interleave"].inputs == (("party", 0), ("party", 1))
    assert plan.nodes["wav"].given == Format("audio", "s16", 24000, "stereo")


def test_inputs_of_unlike_formats_are_each_converted_first():
    plan = plan_of(FILE + "  low: {use: resample, from: voices, with: {rate: 8kHz}}\n"
                   "  a: {use: transcribe, from: [voices, low]}\n  text: {use: console, from: a}\n")  # fmt: skip
    assert plan.nodes["a"].inputs == (("voices~resample", 0), ("low~resample", 0))


def test_a_conflict_names_both_ends_with_their_places_and_formats_and_the_line_that_fixes_it():
    problem = problem_of(FILE + "  line: {use: ringcx_call, from: voices}\n")
    assert str(problem) == (
        'g.yaml:4:34: error[format-mismatch]: the output of "voices" to "line" does not fit, '
        "and no converter for it may be inserted unasked\n"
        "   4 |   line: {use: ringcx_call, from: voices}\n"
        "     |                                  ^^^^^^\n"
        '     = "voices" (wav_source, g.yaml:3:3) gives: audio s16 24 kHz tracks\n'
        '     = "line" (ringcx_call, g.yaml:4:3) takes: audio mulaw 8 kHz tracks or packets mulaw 8 kHz tracks\n'
        "     = add  resample: {use: resample, from: voices, with: {rate: 8kHz}}; "
        'encode_mulaw: {use: encode_mulaw, from: resample}  and write  from: encode_mulaw  in "line"'
    )


@pytest.mark.parametrize("use", ["narrow", "either"])
def test_two_rates_that_would_both_do_are_not_chosen_between(use):
    problem = problem_of(FILE + f"  n: {{use: {use}, from: voices}}\n")
    assert problem.code == "format-ambiguous"
    assert problem.notes[2:] == (
        'either add  resample: {use: resample, from: voices, with: {rate: 8kHz}}  and write  from: resample  in "n"',
        'or add  resample: {use: resample, from: voices, with: {rate: 16kHz}}  and write  from: resample  in "n"',
    )
    assert plan_of(FILE + "  resample: {use: resample, from: voices, with: {rate: 8kHz}}\n"
                   f"  n: {{use: {use}, from: resample}}\n")  # fmt: skip


def test_two_converters_that_would_both_do_are_not_chosen_between():
    text = FILE + "  wav: {use: wav_file, from: voices}\n"
    assert plan_of(text).nodes["voices~interleave"].inserted
    problem = problem_of(text, converters=(*TRANSFORMS, Louder))
    assert problem.code == "format-ambiguous"
    assert "use: interleave" in problem.notes[2]
    assert "use: louder" in problem.notes[3]


def test_the_same_converters_in_another_order_are_no_choice():
    @node("wide")
    class Wide(Narrow):
        caps = (Caps("audio", ("s16",), (16000,), ("stereo",)),)

    graph = load_text(CALL + "  n: {use: narrow, from: ordered}\n", registry=REGISTRY)
    plan = compile_graph(replace(graph, nodes=graph.nodes | {"n": replace(graph.nodes["n"], cls=Wide)}))
    assert sorted(kinds_before(plan, "n")) == ["decode_mulaw", "interleave", "reorder", "resample", "ringcx"]


def test_streams_that_cannot_meet_are_shown_with_what_would_bring_them_together():
    text = (
        FILE + "  low: {use: resample, from: voices, with: {rate: 8kHz}}\n  wav: {use: wav_file, from: [voices, low]}\n"
    )
    problem = problem_of(text)
    assert (problem.code, problem.position.line, problem.position.column) == ("formats-differ", 5, 39)
    assert problem.notes == (
        '"voices" (wav_source, g.yaml:3:3) gives  audio s16 24 kHz tracks',
        '"low" (resample, g.yaml:4:3) gives  audio s16 8 kHz tracks',
        'add  resample: {use: resample, from: voices, with: {rate: 8kHz}}  and write  from: resample  in "wav"',
        'add  resample: {use: resample, from: low, with: {rate: 24kHz}}  and write  from: resample  in "wav"',
    )


def test_two_stereo_streams_do_not_meet_because_nothing_tells_them_apart():
    text = FILE + "  a: {use: interleave, from: voices}\n  b: {use: interleave, from: voices}\n"
    problem = problem_of(text + "  wav: {use: wav_file, from: [a, b]}\n")
    assert problem.code == "formats-differ"
    assert "two stereo streams" in problem.notes[2]


def test_every_conflict_of_a_graph_is_reported_and_what_follows_from_one_is_not():
    text = (
        FILE + "  a: {use: reorder, from: voices}\n  b: {use: decode_mulaw, from: a}\n  c: {use: wav_file, from: b}\n"
    )
    with pytest.raises(GraphError) as error:
        plan_of(text + "  d: {use: console, from: voices}\n")
    assert [(problem.code, problem.position.line) for problem in error.value.problems] == [
        ("format-mismatch", 4),
        ("format-mismatch", 7),
    ]
    assert "packetize: {use: packetize, from: encode_mulaw}" in str(error.value.problems[0])


@pytest.mark.parametrize(("encoding", "inserted"), [("mulaw", []), ("s16", ["decode_mulaw"])])
def test_what_a_node_takes_may_depend_on_its_config(encoding, inserted):
    plan = plan_of(f"{CALL}  heard: {{use: choosy, from: ordered, with: {{encoding: {encoding}}}}}\n")
    assert [node.cls.name for node in plan.nodes.values() if node.inserted] == inserted
    assert plan.nodes["heard"].given == Format("audio", encoding, 8000, "tracks")
