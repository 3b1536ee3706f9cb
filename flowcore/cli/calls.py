"""``flowcore calls``: the live calls of a running flowcore, whichever of its workers hold them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from flowcore.cli.log import plain
from flowcore.control import all_calls, only_running, running
from flowcore.errors import UsageError

LONGEST = 1000
"""Columns of a table that goes into a pipe."""
AGAIN = 1.0
"""Seconds between two looks."""

Calls = list[dict[str, Any]]


def calls(
    control: Annotated[
        Path | None, typer.Option(help="The socket of the process to ask, as its log names it.", show_default="the one")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line: a JSON array of calls.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Again each second, until Ctrl-C or its end.")] = False,
) -> None:
    """List the live calls of a running flowcore.

    For each: its flow, call id and worker, when it began, its state, and the audio that was dropped so far and that
    waits in queues, in milliseconds.

    Exit code: 0 done, 2 nothing is running, or more than one.
    """
    path = control or only_running(running())
    try:
        if as_json:
            _repeat(lambda: print(json.dumps(all_calls(path)[0]), flush=True), watch)  # noqa: T201  # the result
        elif watch:
            with Live(console=Console(), auto_refresh=False) as screen:
                _repeat(lambda: screen.update(_table(*all_calls(path)), refresh=True), watch)
        else:
            # In a pipe nothing is cut: `grep` finds a whole call id.
            Console(width=None if sys.stdout.isatty() else LONGEST).print(_table(*all_calls(path)))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _repeat(show: Any, watch: bool) -> None:
    show()
    while watch:
        time.sleep(AGAIN)
        try:
            show()
        except UsageError:  # it answered a second ago
            typer.echo("it has ended", err=True)
            return


def _table(calls: Calls, missing: list[int]) -> Group:
    table = Table(box=None, pad_edge=False)
    table.add_column("flow", no_wrap=True)
    for column in ("call id", "worker", "since", "state"):
        table.add_column(column)
    table.add_column("dropped", justify="right")
    table.add_column("queued", justify="right")
    for call in calls:
        table.add_row(*_row(call))
    lines: list[Any] = [table] if calls else []
    lines.append(Text(f"{len(calls)} call{'s' * (len(calls) != 1)}"))
    if missing:
        lines.append(Text(f"no answer from worker {', '.join(map(str, missing))}", "bold red"))
    return Group(*lines)


def _row(call: Mapping[str, Any]) -> list[Text]:
    began = datetime.fromisoformat(call["since"])
    lost = "red" if call["dropped_ms"] else ""
    return [
        Text(call["flow"]),
        Text(plain(call["call_id"])),  # which the peer chose
        Text(str(call["worker"])),
        Text(f"{began:%H:%M:%S}"),
        Text(call["state"]),
        Text(f"{call['dropped_ms']} ms", lost),
        Text(f"{call['queue_ms']} ms"),
    ]
