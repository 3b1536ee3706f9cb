"""Reads a test file and checks its tests against the graph: all problems are reported together, with positions."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flowcore.diagnostics import Position, did_you_mean, listed
from flowcore.errors import GraphError
from flowcore.graph import compile_graph, load_graph
from flowcore.graph.fields import check
from flowcore.graph.plan import Plan
from flowcore.graph.problems import Problems
from flowcore.graph.source import Tree, YamlMapping, find, read, read_file
from flowcore.graph.values import Values
from flowcore.listener import Listener
from flowcore.node import Sink
from flowcore.scenario.model import Test, TestFile


@dataclass(frozen=True)
class Scenario:
    """One test, ready to run. ``path`` and ``line`` are its place; the paths in it begin at ``folder``."""

    path: Path
    line: int
    name: str
    test: Test
    plan: Plan

    @property
    def folder(self) -> Path:
        return self.path.parent


def load(path: str | Path) -> list[Scenario]:
    """Read a test file and its graph. Raises `GraphError` with every problem of either."""
    path = Path(path)
    problems = Problems(str(path), "")
    text = read_file(path, "a test of graphs", problems, pattern="*.test.yaml") or ""
    problems.raise_if_any()
    problems = Problems(str(path), text)
    tree = read(text, problems)
    if not isinstance(tree, YamlMapping):
        if not len(problems):
            problems.add(
                "not-a-test", "the file is no mapping", tree.at if tree else Position(1, 1), "begin with  flowcore: 1"
            )
        problems.raise_if_any()
        raise AssertionError("unreachable")
    if "nodes" in tree.entries and "tests" not in tree.entries:
        fix = f"check it with  flowcore check {path.name}"
        problems.add("not-a-test", "this file is a graph, not a file of tests", tree.entries["nodes"].key, fix)
        problems.raise_if_any()
    values = Values(os.environ, problems)
    file = check(TestFile, tree, tree.at, "the test file", values)
    problems.raise_if_any()
    if file is None:
        raise AssertionError("no test file and no problem")
    scenarios = list(_scenarios(path, file, tree, problems))
    problems.raise_if_any()
    return scenarios


def _scenarios(path: Path, file: TestFile, tree: YamlMapping, problems: Problems) -> Iterator[Scenario]:
    for name, test in file.tests.items():
        settings = [f"{key}={json.dumps(value)}" for key, value in {**file.set, **test.set}.items()]
        try:
            plan = compile_graph(load_graph(path.parent / file.graph, settings))
        except GraphError as error:
            if any(problem.code == "unreadable" for problem in error.problems):
                problems.add("unreadable", error.problems[0].message, tree.entries["graph"].value.at)
                return
            raise
        _names(plan, test, ("tests", name), tree, problems)
        yield Scenario(path, place(tree, "tests", name).line, name, test, plan)


def _names(plan: Plan, test: Test, where: tuple[str, ...], tree: YamlMapping, problems: Problems) -> None:
    """Check that the graph has every node that a test names."""

    def known(name: str, *path: str | int) -> bool:
        if name not in plan.nodes:
            help = did_you_mean(name, plan.nodes, f"the nodes are {listed(list(plan.nodes)[:20])}")
            problems.add("unknown-node", f'there is no node "{name}" in the graph', place(tree, *where, *path), help)
        return name in plan.nodes

    for number, name in enumerate(test.catch):
        if known(name, "catch", number) and not issubclass(plan.nodes[name].cls, Sink):
            at = place(tree, *where, "catch", number)
            problems.add("not-a-sink", f"{name} is no sink: only what comes to a sink can be caught", at)
    for number, fault in enumerate(test.faults):
        at = place(tree, *where, "faults", number)
        for kind in ("slow", "fail", "stuck"):
            injected = getattr(fault, kind)
            if injected is None or not known(injected.node, "faults", number, kind, "node"):
                continue
            if issubclass(plan.nodes[injected.node].cls, Listener):
                message = f"{injected.node} accepts calls: give the fault to a node after it"
                problems.add("fault-at-listener", message, place(tree, *where, "faults", number, kind, "node"))
        if test.input is None and (fault.reorder or fault.duplicate or fault.loss or fault.freeze or fault.reset):
            problems.add("fault-without-input", "this fault is one of the input: give the test an input", at)
        elif (fault.reorder or fault.duplicate) and not plan.listener.cls.tools.stand_in:
            message = f"{plan.listener.name} gives no packets that could overtake each other or come twice"
            problems.add("fault-without-packets", message, at)
    if test.input is not None:
        _input(plan, test, place(tree, *where, "input"), problems)
    expect = test.expect
    if expect is None:
        return
    for key in ("dropped", "filled", "nodes", "caught"):
        for name in getattr(expect, key):
            if known(name, "expect", key, name) and key == "caught" and name not in test.catch:
                message = f"{name} is not caught"
                problems.add("not-caught", message, place(tree, *where, "expect", key, name), f"add  catch: [{name}]")
    for number, name in enumerate(expect.failed):
        known(name, "expect", "failed", number)


def _input(plan: Plan, test: Test, at: Position, problems: Problems) -> None:
    listener = plan.listener
    form = listener.gives[0]
    stand_in = listener.cls.tools.stand_in
    if not stand_in and (form.kind != "audio" or form.encoding != "s16"):
        message = f"flowcore test cannot stand in for {listener.name} ({listener.cls.name}), which gives {form}"
        problems.add("no-stand-in", message, at, "name a stand-in module in the listener's class: tools.stand_in")
    assert test.input is not None  # noqa: S101  # for the type checker
    if test.input.script and not stand_in:
        problems.add("no-messages", f"{listener.name} ({listener.cls.name}) reads no messages", at, "give voices only")


def place(tree: Tree, *path: str | int) -> Position:
    """The position of the key or item at ``path``, or of the last one of ``path`` that the file has."""
    return find(tree, tree.at, path)[1]
