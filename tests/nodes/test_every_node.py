"""What holds for every node that is installed, without a line in its own tests."""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from flowcore import Listener, Packet, Sink, Text
from flowcore.graph.load import load_text
from flowcore.graph.negotiate import compile_graph
from flowcore.node import Node
from flowcore.testing import NodeHarness
from flowcore.units import Quantity
from tests.support.examples import CLASSES, OUTSIDE, WORKING, chunks, given, placed
from tests.support.live import until

UNITLESS = re.compile(r"faster|times|factor|share|probab|mean", re.IGNORECASE)
"""Words by which a bare number says that it needs no unit."""


def example(cls: type[Node]) -> str:
    """The graph line in the docstring."""
    match = re.search(r"Example::\n\n +(.+)", inspect.getdoc(cls) or "")
    assert match, "the docstring shows no example"
    return match[1]


def harness(name: str, tmp_path: Any) -> NodeHarness:
    cls = WORKING[name]
    config = placed(cls, f"{tmp_path}/{{flow}}")
    return NodeHarness(cls, config, resource=_opened_part(cls, config))


def _opened_part(cls: type[Node], config: dict[str, Any]) -> Any:
    part = cls.make_resource(cls.Config(**config))
    if part is not None:
        part.open()
    return part


def same(a: list[Any], b: list[Any]) -> bool:
    """Whether two runs gave the same chunks."""
    return len(a) == len(b) and all(
        x == y
        if isinstance(x, Packet)
        else (x.start, getattr(x, "track", "")) == (y.start, getattr(y, "track", ""))
        and np.array_equal(getattr(x, "samples", x), getattr(y, "samples", y))
        for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("name", CLASSES)
def test_the_node_is_documented(name):
    cls = CLASSES[name]
    text = inspect.getdoc(cls) or ""
    assert text.split("\n")[0].endswith((".", ":", ";"))
    assert inspect.getmodule(cls).__doc__
    if not issubclass(cls, Listener):
        assert "In:" in text
        assert cls.caps
    for field, info in cls.Config.model_fields.items():
        assert info.description, f"{field} says nothing of itself"
        if isinstance(info.default, float) and not isinstance(info.default, Quantity):
            assert UNITLESS.search(info.description), f"{field}: a number of what?"


@pytest.mark.parametrize("name", CLASSES)
def test_the_example_in_the_docstring_is_a_node_of_this_kind(name):
    assert re.search(rf"use: {name}\b", example(CLASSES[name]))


@pytest.mark.parametrize("name", CLASSES)
def test_the_default_config_builds_or_says_what_is_missing(name):
    cls = CLASSES[name]
    try:
        config = cls.Config()
    except ValidationError as error:
        assert re.search(r"Field required|give ", str(error))  # noqa: PT017  # only a default that does not build must say it
    else:
        assert isinstance(cls(config), cls)


@pytest.mark.parametrize("name", sorted(WORKING.keys() - OUTSIDE))
def test_empty_input_gives_no_output_and_ends_in_peace(name, tmp_path):
    h = harness(name, tmp_path).end()
    assert not any(h.ports.values())


@pytest.mark.parametrize("name", sorted(WORKING.keys() - OUTSIDE))
def test_the_same_input_twice_gives_the_same_output_and_balanced_books(name, tmp_path):
    form = given(WORKING[name].caps[0])
    first = harness(name, tmp_path).push(*chunks(form)).end()
    second = harness(name, tmp_path).push(*chunks(form)).end()
    for port in first.ports:
        assert same(first.ports[port], second.ports[port])


@pytest.mark.parametrize("name", sorted(name for name in WORKING if not issubclass(WORKING[name], Sink)))
def test_no_port_emits_what_its_format_does_not_say(name, tmp_path):
    if name in OUTSIDE:
        return
    cls = WORKING[name]
    form = given(cls.caps[0])
    gives = cls.gives(cls.Config(), form)
    h = harness(name, tmp_path).push(*chunks(form)).end()
    for said, port in zip(gives if isinstance(gives, tuple) else (gives,), h.ports.values(), strict=True):
        assert port
        if said.kind != "audio":
            assert {type(chunk) for chunk in port} == {{"packets": Packet, "text": Text}[said.kind]}
            continue
        for chunk in port:
            assert (chunk.encoding, chunk.rate) == (said.encoding, said.rate)
            assert chunk.channels == (2 if said.layout == "stereo" else 1)
            assert bool(chunk.track) == (said.layout != "stereo")


@pytest.mark.parametrize("name", sorted(WORKING.keys() - OUTSIDE))
def test_closed_while_busy_it_leaves_nothing_behind(name, tmp_path):
    import threading

    before = threading.active_count()
    h = harness(name, tmp_path)
    h.push(*chunks(given(WORKING[name].caps[0]))[:7])
    h.node.close()
    if h.node.resource is not None:
        h.node.resource.close()
    until(lambda: threading.active_count() <= before)


def test_every_example_is_part_of_a_graph_that_compiles():
    names = ("ringcx", "reorder", "decode_mulaw", "wav_file", "resample", "split")
    text = "flowcore: 1\nnodes:\n" + "".join(f"  {example(CLASSES[name])}\n" for name in names)
    text += "  left: {use: wav_file, from: party.agent}\n  right: {use: wav_file, from: party.customer}\n"
    assert len(compile_graph(load_text(text)).nodes) >= 8
