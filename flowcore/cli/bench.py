"""``flowcore bench``: measure how many calls at once a graph holds, and where its CPU time goes."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from flowcore.bench.search import GENERATOR_LATE, SEARCH_TOLERANCE, Search, verdict
from flowcore.bench.trial import Cores, Outcome, trial
from flowcore.cli.options import GraphFile, Settings, parse_seconds, try_to_write
from flowcore.cli.show import show_result, whole_columns
from flowcore.diagnostics import counted
from flowcore.errors import FlowcoreError, UsageError
from flowcore.graph import compile_graph, load_graph
from flowcore.graph.model import Graph
from flowcore.listener import Listener
from flowcore.paths import PathTemplate

START = 25
"""Calls of the first trial."""


def bench(
    graph: GraphFile,
    settings: Settings = None,
    p99: Annotated[str, typer.Option(help="Latency to the first node that 99 of 100 messages must keep.")] = "100ms",
    agent: Annotated[Path | None, typer.Option(help="WAV file with an agent's voice.")] = None,
    caller: Annotated[Path | None, typer.Option(help="WAV file with a caller's voice.")] = None,
    seconds: Annotated[float, typer.Option(min=3, help="Length of each trial, in seconds.")] = 5.0,
    most: Annotated[int, typer.Option(min=1, help="Most calls to try.")] = 5000,
    to_json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures to FILE.")] = None,
) -> None:
    """Measure how many calls at once a graph holds, and why not more.

    A graph holds calls when it loses nothing and keeps the latency of --p99. It runs in a process of its own, and a
    second process makes the calls. Recorded files go to a temporary folder; all other effects of the graph (requests to
    a service, sound, pages) are real. The calls carry noise, or the voices of --agent and --caller: nodes that work
    only on speech have less to do on noise.

    Exit code: 0 done, 1 not even one call was held, 2 the graph or the command line is wrong.
    """
    bound = parse_seconds(p99, "--p99") * 1000
    if to_json is not None:
        try_to_write(to_json, "--json")
    if (agent is None) != (caller is None):
        raise UsageError("give both voices, --agent and --caller, or none")
    voices = tuple(str(path) for path in (agent, caller) if path)
    checked = load_graph(graph, settings or [])
    compile_graph(checked)
    with tempfile.TemporaryDirectory(prefix="flowcore-bench-") as folder:
        subject = Subject.of(graph, checked, settings or [], Path(folder), voices)
        search, last = _search(subject, bound, seconds, most)
    if last is None:
        calls = counted(search.failed, "call")
        if search.why == GENERATOR_LATE:
            raise FlowcoreError(f"stop what else runs here, and try again: at {calls} {GENERATOR_LATE}")
        raise FlowcoreError(f"not even {calls} could be held: {search.why}")
    _show(subject, search, last, bound)
    if to_json:
        to_json.write_text(json.dumps(_figures(subject, search, last), indent=2) + "\n")


@dataclass(frozen=True)
class Subject:
    """The graph under test: its file, extra settings, load generator, CPU cores and voices."""

    graph: Path
    settings: list[str]
    load_generator: str
    cores: Cores
    voices: tuple[str, ...]

    @classmethod
    def of(cls, path: Path, graph: Graph, settings: list[str], folder: Path, voices: tuple[str, ...]) -> Subject:
        """Prepare a graph. Raises `UsageError` when its listener has no load generator."""
        listener = next(iter(graph.nodes.values()))
        load_generator = listener.cls.tools.load_generator if issubclass(listener.cls, Listener) else ""
        if not load_generator:
            raise UsageError(
                f"give bench a graph whose listener takes calls, like ringcx: there is no load generator for "
                f'"{listener.name}" ({listener.cls.name}) of {path}'
            )
        return cls(path, [*settings, *_elsewhere(graph, folder)], load_generator, Cores.share(), voices)

    def attempt(self, calls: int, seconds: float, *, profile: bool = False) -> Outcome:
        graph = (str(self.graph), self.settings, self.load_generator)
        return trial(*graph, calls, seconds, self.cores, probe=not profile, profile=profile, voices=self.voices)


def _elsewhere(graph: Graph, folder: Path) -> list[str]:
    """Return settings that put all files below ``folder``, and let the listener admit its load generator."""
    settings = []
    for node in graph.nodes.values():
        for field in type(node.config).model_fields:
            value = getattr(node.config, field)
            if isinstance(value, PathTemplate):
                name = value[value.rfind("/", 0, (value + "{").index("{")) + 1 :]
                settings.append(f"{node.name}.{field}={folder}/{node.name}/{name}")
        if issubclass(node.cls, Listener):
            load_generator = node.cls.tools.load_generator_settings.items()
            settings += [f"{node.name}.{field}={value}" for field, value in load_generator]
    return settings


def _search(subject: Subject, bound: float, seconds: float, most: int) -> tuple[Search, Outcome | None]:
    """Search, then profile a last trial with the calls that were held; None when none were held."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)

        def attempt(calls: int) -> str:
            before = f", {search.held} held" if search.held else ""
            progress.update(task, description=f"{calls} calls{before}", total=_steps(search))
            why = verdict(subject.attempt(calls, seconds), bound)
            progress.advance(task)
            return why

        search = Search(attempt, min(START, most), most)
        search.run()
        if not search.held:
            return search, None
        progress.update(task, description=f"{search.held} calls, profiled")
        return search, subject.attempt(search.held, max(seconds, 8.0), profile=True)


def _steps(search: Search) -> float | None:
    """Return the number of trials of the whole search; None while it is unknown."""
    if not search.failed:
        return None
    left = (search.failed - search.held) / max(1.0, search.failed * SEARCH_TOLERANCE)
    return 2 * len(search.tried) + 2 * math.ceil(math.log2(max(left, 1.0))) + 1


def _show(subject: Subject, search: Search, last: Outcome, bound: float) -> None:
    cores = len(subject.cores.receiver)
    where = f"{counted(cores, 'core')}, the callers on another" if cores else "cores shared with the callers"
    held = Text.assemble((f"{search.held} calls at once", "bold"), f" of {subject.graph}: nothing lost, on {where}")
    if search.why == GENERATOR_LATE:
        limit = Text(f"It may hold more: at {search.failed} calls {search.why}.", "yellow")
    elif search.failed:
        limit = Text(f"At {search.failed} calls: {search.why} (the bound is {bound:.0f} ms)")
    else:
        limit = Text("It may hold more: --most ended the search.", "yellow")
    table = Table()
    table.add_column("part", no_wrap=True)
    table.add_column("of a core", justify="right", no_wrap=True)
    table.add_column("µs a message", justify="right", no_wrap=True)
    for part, share in last.profile.items():
        if share >= 0.0005:
            table.add_row(part, f"{share:.1%}", f"{share / last.cpu * last.us_per_message:.2f}")
    table.add_row("all", f"{last.cpu:.1%}", f"{last.us_per_message:.2f}", style="bold")
    if cores:
        table.add_row("idle", f"{max(0.0, cores - last.cpu):.1%}", "")
    show_result(Group(held, limit, Text(f"where the CPU goes at {search.held} calls"), whole_columns(table)))


def _figures(subject: Subject, search: Search, last: Outcome) -> dict[str, Any]:
    found = {"calls": search.held, "failed_at": search.failed, "why": search.why, "tried": search.tried}
    costs = {name: getattr(last, name) for name in ("cpu", "us_per_message", "resident", "profile")}
    return {"graph": str(subject.graph), **found, "cores": len(subject.cores.receiver), **costs}
