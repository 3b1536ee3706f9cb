"""Advice for wires that do not match works when it is followed."""

import pytest

from flowcore import Rate
from tests.graph.test_negotiate import CALL, FILE, plan_of, problem_of


@pytest.mark.parametrize(
    ("text", "node", "pasted", "end"),
    [
        (FILE + "  n: {use: ringcx_call, from: voices}\n", "n", ["resample", "encode_mulaw"], "encode_mulaw"),
        (CALL + "  n: {use: console, from: call}\n  w: {use: wav_file, from: ordered}\n", "n",
         ["reorder", "transcribe"], "transcribe"),
        (CALL + "  n: {use: wav_file, from: call}\n  w: {use: wav_file, from: ordered}\n", "n", ["reorder"], "reorder"),
        (FILE + "  reorder: {use: wav_file, from: voices}\n  n: {use: console, from: voices}\n", "n",
         ["transcribe"], "transcribe"),
    ],
)  # fmt: skip
def test_advice_that_is_followed_makes_the_graph_work(text, node, pasted, end):
    problem = problem_of(text)
    [advice] = [note for note in problem.notes if note.startswith("add  ")]
    lines, write = advice.removeprefix("add  ").split("  and write  ")
    assert [line.split(":")[0] for line in lines.split("; ")] == pasted
    assert write == f'from: {end}  in "{node}"'
    upstream = text[text.index(f"  {node}: ") :].split("from: ")[1].split("}")[0]
    mended = text.replace(f"  {node}: ", "".join(f"  {line}\n" for line in lines.split("; ")) + f"  {node}: ")
    head, tail = mended.split(f"  {node}: ")
    plan = plan_of(head + f"  {node}: " + tail.replace(f"from: {upstream}", f"from: {end}", 1))
    assert node in plan.nodes


def test_what_no_node_can_make_is_said():
    problem = problem_of(
        CALL + "  a: {use: transcribe, from: ordered}\n  b: {use: reorder, from: a}\n  c: {use: wav_file, from: b}\n"
    )
    assert "no installed node makes packets of text" in str(problem)


def test_the_rate_that_advice_writes_is_the_one_that_is_wanted():
    for hertz in (8000, 11025, 16000, 44100):
        assert int(Rate(str(Rate(hertz)))) == hertz
