"""Hostile and broken YAML ends as a problem with a place, without a walk through what it would unfold to."""

import pytest

from flowcore.diagnostics import Position
from flowcore.errors import GraphError
from flowcore.graph import source
from flowcore.graph.load import load_text
from flowcore.graph.problems import MAX_PROBLEMS, Problems
from flowcore.graph.source import Scalar, YamlList, YamlMapping, read
from tests.graph.nodes import GOOD, REGISTRY

BOMB = 'a: &a ["x","x","x"]\n' + "".join(
    f"{b}: &{b} [*{a},*{a},*{a},*{a}]\n" for a, b in zip("abcdef", "bcdefg", strict=True)
)
MANY = "flowcore: 1\nnodes:\n"
HOSTILE = {
    "an alias bomb": (BOMB, {"alias", "anchor"}),
    "a value that contains itself": ("a: &a [*a]\n", {"alias", "anchor"}),
    "nested 2000 deep": ("[" * 2000 + "]" * 2000, {"too-deep"}),
    "nested 2000 deep, mappings": ("{a: " * 2000 + "}" * 2000, {"too-deep"}),
    "nested 2000 deep, never closed": ("[" * 2000, {"too-deep"}),
    "nested deep by dashes": ("- " * 100_000, {"too-deep"}),
    "nested deep by question marks": ("? " * 100_000, {"too-deep"}),
    "a megabyte": ("flowcore: 1\n" * 90_000, {"too-large"}),
    "a megabyte in few characters": ("é" * 140_000, {"too-large"}),
    "python objects": ("!!python/object/apply:os.system [id]", {"tag"}),
    "python names": ("a: !!python/name:os.system\n", {"tag"}),
    "binary": ("a: !!binary aGVsbG8=\n", {"tag"}),
    "a tag of its own": ("%TAG ! tag:example.com,2026:\n---\n!shape {}\n", {"tag"}),
    "a NUL byte": ("flowcore: 1\0", {"bad-character"}),
    "half a character": ("flowcore: \ud800", {"bad-character"}),
    "an escape that moves the cursor": ("flowcore: \x1b[2J", {"bad-character"}),
    "an endless key": ("? " + "x" * 200_000 + "\n: y\n", {"unknown-key"}),
    "an anchor with a name of 200 kB": ("&" + "x" * 200_000 + " y", {"anchor"}),
    "very many nodes of no type": (
        MANY + "".join(f"  n{n}: {{use: lmap}}\n" for n in range(1600)),
        {"unknown-node-type"},
    ),
    "very many names that nearly exist": (
        MANY + "  call: {use: phone}\n" + "".join(f"  n{n}: {{use: lamp, from: m{n}}}\n" for n in range(1400)),
        {"unknown-upstream"},
    ),
    "very many cycles": (
        MANY + "  call: {use: phone}\n" + "".join(f"  n{n}: {{use: filter, from: n{n}}}\n" for n in range(1400)),
        {"cycle"},
    ),
    "very many values": (MANY + "  call: {use: phone, with: [" + "x," * 100_000 + "]}\n", {"too-large"}),
    "very many keys": ("".join(f"k{n}: 1\n" for n in range(20_000)), {"too-large"}),
    "the same input very often": (
        MANY + "  call: {use: phone}\n  light: {use: lamp, from: [" + "call, " * 9_000 + "]}\n",
        {"repeated-input"},
    ),
    "very many unknown fields": (
        MANY + "  call: {use: phone, with: {" + ", ".join(f"port{n}: 1" for n in range(4_000)) + "}}\n",
        {"unknown-field"},
    ),
}


@pytest.mark.fault(42)
@pytest.mark.parametrize("loader", ["fastest", "SafeLoader"])
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.slow
def test_hostile_file_ends_as_problems(name, loader, monkeypatch):
    monkeypatch.setattr(source, "_LOADER", getattr(source.yaml, loader, source._LOADER))
    text, codes = HOSTILE[name]
    with pytest.raises(GraphError) as caught:
        load_text(text, registry=REGISTRY, environ={})
    problems = caught.value.problems
    assert codes <= {problem.code for problem in problems}
    assert len(problems) <= MAX_PROBLEMS
    assert max(len(line) for line in str(caught.value).splitlines()) < 400


@pytest.mark.parametrize("loader", ["fastest", "SafeLoader"])
@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("[" * 2000, 1, 21),
        ("a: 1\nb: " + "{x: " * 1500, 2, 80),
        ("a: 1\nb:\n- x\n- " + "[" * 1001 + "]" * 1001, 4, 21),
        ("- " * 2000, 1, 41),
    ],
)
def test_too_deep_stands_at_the_first_level_over_the_limit(text, line, column, loader, monkeypatch):
    monkeypatch.setattr(source, "_LOADER", getattr(source.yaml, loader, source._LOADER))
    problems = Problems("x", text)
    assert read(text, problems) is None
    (problem,) = problems.sorted()
    assert (problem.code, problem.position.line, problem.position.column) == ("too-deep", line, column)


def test_syntax_error_before_deep_nesting_is_the_one_reported():
    problems = Problems("x", text := "a: ]\nb: " + "[" * 2000)
    assert read(text, problems) is None
    assert [problem.code for problem in problems.sorted()] == ["yaml-syntax"]


def test_tree_keeps_text_as_written_and_places():
    problems = Problems("x", text := "a: {b: 010, 'c': [x, \"y z\"]}\n")
    tree = read(text, problems)
    assert not problems
    assert tree == YamlMapping(Position(1, 1, 28), {"a": tree.entries["a"]})
    inner = tree.entries["a"].value
    assert inner.entries["b"].value == Scalar(Position(1, 8, 3), "010", plain=True)
    assert inner.entries["c"].key == Position(1, 13, 3)
    assert inner.entries["c"].value == YamlList(
        Position(1, 18, 10), [Scalar(Position(1, 19, 1), "x", True), Scalar(Position(1, 22, 5), "y z", False)]
    )


def test_slow_parser_of_pyyaml_reads_the_same(monkeypatch):
    fast = read(GOOD, Problems("x", GOOD))
    monkeypatch.setattr(source, "_LOADER", source.yaml.SafeLoader)
    slow = read(GOOD, Problems("x", GOOD))
    assert _shape(fast) == _shape(slow)


def _shape(tree):
    """The tree without the lengths of blocks, whose end the two parsers see at different places."""
    if isinstance(tree, YamlMapping):
        return {(key, entry.key): _shape(entry.value) for key, entry in tree.entries.items()}
    return [_shape(item) for item in tree.items] if isinstance(tree, YamlList) else tree
