"""``flowcore explain``: show the plan of a graph without running it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import zip_longest
from typing import Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from flowcore.cli.options import GraphFile, Settings, plan_of
from flowcore.cli.show import show_result, whole_columns
from flowcore.diagnostics import counted
from flowcore.graph.explain import SLOT, Chain, Explanation, Step
from flowcore.graph.explain import explain as explain_plan

MAX_ALIGNED: Final = 26
"""Columns up to which a name is aligned with the names in other chains."""


def explain(
    graph: GraphFile,
    settings: Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show how a graph will run.

    The plan: chains, queues, the format on every wire, the converters that were added, latency and memory. Opens no
    other file, no network connection, no device and no model.

    Exit code: 0 done, 2 there are problems.
    """
    explained = explain_plan(plan_of(graph, settings))
    if as_json:
        print(json.dumps(asdict(explained), indent=2))  # noqa: T201  # the result
    else:
        show_result(Group(*_page(explained)))


def _page(explained: Explanation) -> Iterator[RenderableType]:
    steps = [step for chain in explained.chains for step in chain.nodes]
    inserted = sum(step.inserted for step in steps)
    queues = sum(chain.border is not None for chain in explained.chains)
    yield Text.assemble(
        (explained.graph, "bold"),
        f": {counted(len(steps) - inserted, 'node')}, {counted(inserted, 'converter')} put in (marked +), "
        f"{counted(len(explained.chains), 'chain')}, {counted(queues, 'queue')}",
    )
    widths = [max((len(cell) for step in steps for cell in cells(step)), default=0) for cells in (_names, _inputs)]
    for number, chain in enumerate(explained.chains):
        yield Text()
        yield _heading(number, chain)
        yield Padding(_steps(chain, widths), (0, 0, 0, 2))
    if explained.shared:
        yield Text("\nopened once, for all calls", "bold")
        for resource, users in explained.shared:
            yield Text(f"  {resource} for {', '.join(users)}")
    yield Text("\nlatency added, typically and at most, while every node keeps up", "bold")
    yield from _latency(explained)
    yield Text("\nmemory of one call, estimated", "bold")
    yield Text(f"  {_size(explained.memory.usual)} usually, {_size(explained.memory.most)} at most")
    yield Text("  (the call, its nodes and the audio they delay; at most with all queues full)", "dim")


def _heading(number: int, chain: Chain) -> Text:
    title = Text(f"chain {number}", "bold")
    if chain.border is None:
        return title.append(f", in the {chain.runs}, without a queue", "not bold")
    border = chain.border
    of_text = chain.nodes[0].caps.startswith("text")
    bound = counted(border.chunks, "text") if of_text else f"{border.max} of audio"
    queue = f"═ queue {bound}, {_size(border.bytes)}, when full {border.on_full} ═▶ "
    return Text.assemble((queue, "yellow"), title, f", in a {chain.runs}")


def _steps(chain: Chain, widths: list[int]) -> Table:
    table = Table.grid(padding=(0, 2))
    for width in widths:
        table.add_column(min_width=min(width, MAX_ALIGNED), no_wrap=True)
    table.add_column(no_wrap=True)
    for step in chain.nodes:
        outputs = [f".{port} → {form}" if port else f"→ {form}" for port, form in step.gives.items()]
        rows = zip_longest(_names(step), _inputs(step), outputs, fillvalue="")
        for number, (name, source, gives) in enumerate(rows):
            style = "" if number else "green" if step.inserted else "cyan"
            table.add_row(Text(name, style), Text(source), Text(gives))
    return whole_columns(table)


def _names(step: Step) -> list[str]:
    return [f"+ {step.name}" if step.inserted else f"{step.name} ({step.use})"]


def _inputs(step: Step) -> list[str]:
    return [f"← {source}" for source in step.inputs]


def _latency(explained: Explanation) -> Iterator[RenderableType]:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for path in explained.latency:
        delays = " + ".join(f"{name} {_time(seconds)}" for name, seconds in path.delays)
        worst = Text(f"= {delays}" if delays else "")
        table.add_row(Text(path.to, "cyan"), _time(path.typical), _time(path.seconds), worst)
    yield Padding(whole_columns(table), (0, 0, 0, 2))
    if any(chain.border for chain in explained.chains):
        yield Text("  (a queue adds up to its bound while the node behind it does not keep up)", "dim")
    if explained.live:
        yield Text(f"  (a slot is {SLOT}, and twice that under load)", "dim")


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f}ms" if seconds < 1 else f"{round(seconds, 2):g}s"


def _size(number: int) -> str:
    return f"{number / 1024:.0f} KiB" if number < 1 << 20 else f"{number / (1 << 20):.1f} MiB"
