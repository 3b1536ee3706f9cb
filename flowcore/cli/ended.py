"""``flowcore calls --ended``: list the ended calls of a call log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from flowcore.call_log import open_call_log
from flowcore.cli.call_log import NAME
from flowcore.cli.options import parse_seconds
from flowcore.cli.show import show_result, whole_columns
from flowcore.diagnostics import counted
from flowcore.engine.event_fields import plain
from flowcore.errors import UsageError
from flowcore.units import Duration


def show_ended(place: str, since: str, until: str, lost: str, as_json: bool) -> None:
    """Print the calls that ended in a time and lost so much. Raises `UsageError`, and `FlowcoreError` of a database."""
    now = datetime.now().astimezone()
    begin, end = (parse_time(text, now, option) for text, option in ((since, "--since"), (until, "--until")))
    lost_ms = parse_seconds(lost, "--lost") * 1000 if lost else None
    database = open_call_log(place or str(_only_log()))
    try:
        calls = database.find(begin, end, lost_ms)
    finally:
        database.close()
    if as_json:
        print(json.dumps(calls, default=datetime.isoformat))  # noqa: T201  # the result
    else:
        show_result(_table(calls))


def parse_time(text: str, now: datetime, option: str) -> datetime | None:
    """Return a time in the zone of ``now``: yesterday, today, an age, a day or a time. Raises `typer.BadParameter`."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if not text:
        return None
    if text in ("today", "yesterday"):
        return today if text == "today" else _local(today.replace(tzinfo=None) - timedelta(days=1))
    try:
        return now - timedelta(seconds=Duration(text))
    except ValueError:
        pass
    try:
        return _local(datetime.fromisoformat(text))
    except ValueError:
        wanted = "give yesterday, today, an age like 2h, a day like 2026-12-24, or a time like 2026-12-24T18:00"
        raise typer.BadParameter(wanted, param_hint=option) from None


def _local(time: datetime) -> datetime:
    return time.astimezone()  # a time without a zone is local


def _only_log() -> Path:
    found = sorted((*Path().glob(NAME), *Path().glob(f"*/{NAME}")))
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(
            f"no {NAME} here: give --call-log its path or URL (call_log_opened in the log of flowcore run)"
        )
    raise UsageError(f"several call logs are here ({', '.join(map(str, found))}): give --call-log one of them")


def _table(calls: list[dict[str, Any]]) -> Group:
    table = Table(box=None, pad_edge=False)
    for column in ("flow", "call id", "ended", "reason", "length", "lost", "why"):
        table.add_column(column, no_wrap=True, justify="right" if column in ("length", "lost") else "left")
    for call in calls:
        table.add_row(*_row(call))
    return Group(*([whole_columns(table)] if calls else []), Text(counted(len(calls), "call")))


def _row(call: Mapping[str, Any]) -> list[Text]:
    when = call["ended"] or call["started"]
    known = call["lost_ms"] is not None
    return [
        Text(call["flow"]),
        Text(plain(call["call_id"])),
        Text(f"{when:%Y-%m-%d %H:%M:%S}"),
        Text(plain(call["reason"])),
        Text(f"{call['seconds']:.1f} s" if known else "?"),
        Text(f"{call['lost_ms']} ms" if known else "?", "red" if call["lost_ms"] or not known else ""),
        Text(_why(call)),
    ]


def _why(call: Mapping[str, Any]) -> str:
    losses = [
        f"{node}: {reason} {tally['ms']:g} ms" if tally["ms"] else f"{node}: {reason} ({tally['chunks']} texts)"
        for node, reasons in (call["lost"] or {}).items()
        for reason, tally in reasons.items()
    ]
    return ", ".join(losses + [f"{failure['node']} failed: {failure['error']}" for failure in call["failures"] or ()])
