"""``flowcore calls``: list the live calls of a running flowcore, over all its workers."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from flowcore.call_log import PLACE
from flowcore.cli.ended import show_ended
from flowcore.cli.options import Control
from flowcore.cli.show import UNLIMITED, show_result, whole_columns
from flowcore.control import all_calls, only_running, running
from flowcore.diagnostics import counted, listed
from flowcore.engine.event_fields import plain
from flowcore.errors import UsageError

WATCH_INTERVAL: Final = 1.0
"""Seconds between two tables of --watch."""

Calls = list[dict[str, Any]]


def calls(
    control: Control = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array of calls on one line.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Repeat each second until Ctrl-C, or until the process ends.")
    ] = False,
    ended: Annotated[bool, typer.Option("--ended", help="List the ended calls of a call log instead.")] = False,
    since: Annotated[
        str, typer.Option(metavar="WHEN", help="Ended since yesterday, today, 2h, 2026-12-24 or 2026-12-24T18:00.")
    ] = "",
    until: Annotated[str, typer.Option(metavar="WHEN", help="Ended before such a time.")] = "",
    lost: Annotated[str, typer.Option(help="Lost so much audio, such as 20ms, or died with their process.")] = "",
    place: Annotated[
        str,
        typer.Option(
            "--call-log",
            metavar="FILE|URL",
            envvar=PLACE,
            help="The call log.",
            show_default="calls.sqlite here or one folder below",
        ),
    ] = "",
) -> None:
    """List the live calls of a running flowcore, or ended ones.

    Columns of live calls: flow, call id, worker, start, state (with what is paused or muted), audio lost so far, and
    audio in queues, both in milliseconds; the last line has the number of calls of each version of the graph. Columns
    of ended calls: flow, call id, end, reason, length, lost audio, and the node and reason of each loss; --json has all
    fields.

    Exit code: 0 done, 2 no process is running, or several are and --control is missing; no call log, or several.
    """
    if ended:
        if watch or control:
            option = "--watch" if watch else "--control"
            raise typer.BadParameter("this is for live calls: leave out --ended", param_hint=option)
        return show_ended(place, since, until, lost, as_json)
    if given := [name for name, text in (("--since", since), ("--until", until), ("--lost", lost)) if text]:
        raise typer.BadParameter("this is for ended calls: give --ended too", param_hint=given[0])
    path = control or only_running(running())
    try:
        if as_json:
            _repeat(lambda: print(json.dumps(all_calls(path)[0]), flush=True), watch)  # noqa: T201  # the result
        elif watch and (console := Console()).is_terminal:
            with Live(console=console, auto_refresh=False) as screen:
                _repeat(lambda: screen.update(_screen(console, *all_calls(path)), refresh=True), watch)
        else:
            _repeat(lambda: show_result(_table(*all_calls(path))), watch)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _repeat(show: Any, watch: bool) -> None:
    show()
    while watch:
        time.sleep(WATCH_INTERVAL)
        try:
            show()
        except UsageError:  # it answered a second ago, so it has ended
            typer.echo("the process has ended", err=True)
            return


def _screen(console: Console, calls: Calls, missing: list[int]) -> Group:
    """Return the table for a screen, whose lines must not be longer than the terminal is wide."""
    table = _table(calls, missing)
    if Measurement.get(console, console.options.update(max_width=UNLIMITED), table).minimum <= console.width:
        return table
    return _table(calls, missing, narrow=True)


def _table(calls: Calls, missing: list[int], narrow: bool = False) -> Group:
    """Return the table of calls; a narrow one has each call id below its flow."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0) if narrow else (0, 1))
    table.add_column("flow, call id" if narrow else "flow", no_wrap=not narrow, overflow="fold")
    for column in ("worker", "since", "state") if narrow else ("call id", "worker", "since", "state"):
        table.add_column(column, no_wrap=True)
    table.add_column("lost", justify="right", no_wrap=True)
    table.add_column("queued", justify="right", no_wrap=True)
    for call in calls:
        flow, call_id, *others = _row(call)
        table.add_row(*([Text("\n").join([flow, call_id])] if narrow else [flow, call_id]), *others)
    lines: list[Any] = [whole_columns(table)] if calls else []
    versions = Counter(call["version"] for call in calls)
    shares = [f"{count} of version {version}" for version, count in versions.items()]
    lines.append(Text(counted(len(calls), "call") + (f": {listed(shares)}" if calls else "")))
    if missing:
        lines.append(Text(f"no answer from worker {', '.join(map(str, missing))}", "bold red"))
    return Group(*lines)


def state_of(call: Mapping[str, Any]) -> str:
    """Return the state of a live call, with what an operator silenced of it."""
    if call["paused"]:
        return f"{call['state']}, paused"
    return f"{call['state']}, {listed(map(plain, call['muted']))} muted" if call["muted"] else call["state"]


def _row(call: Mapping[str, Any]) -> list[Text]:
    began = datetime.fromisoformat(call["since"])
    lost = "red" if call["lost_ms"] else ""
    call_id = plain(call["call_id"])  # chosen by the peer
    texts = (call["flow"], call_id, str(call["worker"]), f"{began:%H:%M:%S}", state_of(call))
    return [*map(Text, texts), Text(f"{call['lost_ms']} ms", lost), Text(f"{call['queue_ms']} ms")]
