"""``flowcore perfetto``: record for ui.perfetto.dev what the nodes of one live call do, and when."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from flowcore.cli.options import Control, parse_seconds, try_to_write
from flowcore.control import ask, find_call, only_running, running
from flowcore.control.errors import without_answer
from flowcore.control.work_records import MAX_SECONDS
from flowcore.diagnostics import counted
from flowcore.errors import UsageError
from flowcore.telemetry.perfetto_file import PerfettoFile

READ_INTERVAL: Final = 0.25
"""Seconds between two reads."""
REQUEST: Final = "work_record"


def perfetto(
    name: Annotated[
        str, typer.Argument(metavar="CALL", help="Any id of the call, its beginning, a phone number, or newest.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where it goes.", show_default="FLOW.perfetto.json"),
    ] = None,
    lasts: Annotated[str, typer.Option("--for", metavar="TIME", help="How long, up to 10min.")] = "10s",
    control: Control = None,
) -> None:
    """Record what the nodes of one live call do, and when.

    The file is for https://ui.perfetto.dev, and shows each node's work, the waits in queues, losses and events, in the
    order of time. It has no audio, no texts and no numbers of the peer. A call that is not recorded pays nothing for
    this. `flowcore replay --perfetto` does the same for a recorded call.

    It ends with its time, with the call, or with Ctrl-C.

    Exit code: 0 done, 2 no such call, several calls match, no process is running, or several are and --control is
    missing.
    """
    seconds = parse_seconds(lasts, "--for")
    if not 0 < seconds <= MAX_SECONDS:
        raise typer.BadParameter("give a time above 0, up to 10min", param_hint="--for")
    path = control or only_running(running())
    flow = find_call(path, name)["flow"]
    file = output or Path(f"{flow}.perfetto.json")
    try_to_write(file, "--output")
    token = _ask(path, {"flow": flow, "seconds": seconds})["token"]
    lost = 0
    with PerfettoFile(file) as record, suppress(KeyboardInterrupt):
        while True:
            answer = _ask(path, {"token": token})
            record.add(answer["events"])
            lost = answer["lost"]
            if answer["done"]:
                break
            time.sleep(0 if answer["events"] else READ_INTERVAL)
    told = f"; {counted(lost, 'event')} had no room" if lost else ""
    typer.echo(f"{file}: {counted(record.events, 'event')}{told}; open it at https://ui.perfetto.dev")


def _ask(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer of the worker that has the call. Raises `UsageError`."""
    answers, missing = ask(path, {"ask": REQUEST, **request})
    given: list[dict[str, Any]] = [answer for answer in answers.values() if answer]
    if not given:
        raise UsageError(f"the call has ended{without_answer(missing)}")
    if "error" in given[0]:
        raise UsageError(given[0]["error"])
    return given[0]
