"""``flowcore drain``: let a running flowcore end with its last call."""

from __future__ import annotations

import time
from typing import Annotated, Final

import typer

from flowcore.cli.options import Control, parse_seconds
from flowcore.control import all_calls, drain_run, only_running, running
from flowcore.diagnostics import counted
from flowcore.errors import UsageError

POLL_INTERVAL: Final = 1.0
"""Seconds between two looks at the calls that go on."""


def drain(
    control: Control = None,
    finish: Annotated[str, typer.Option(help="How long running calls may go on; then they end in order.")] = "2h",
    wait: Annotated[bool, typer.Option("--wait", help="Return when the process has ended.")] = False,
) -> None:
    """Let a running flowcore end with its last call.

    From now on it takes no more calls, as after SIGTERM, and /readyz on its port is 503, so that a load balancer sends
    new calls elsewhere. Until its end it keeps its port and its folders; `flowcore run --takeover` takes both over, and
    `flowcore upgrade` does that in one step.

    Exit code: 0 it drains (with --wait: it has ended), 2 no process is running, or several are and --control is
    missing.
    """
    path = control or only_running(running())
    begun = drain_run(path, parse_seconds(finish, "--finish"))
    typer.echo("it takes no more calls" if begun else "it was draining already; its first time limit stays")
    told = None
    while True:
        try:
            live = len(all_calls(path)[0])
        except UsageError:  # it answered before, so it has ended
            typer.echo("it has ended")
            return
        if live != told:
            typer.echo(f"{counted(live, 'call')} to go")
            told = live
        if not wait:
            return
        time.sleep(POLL_INTERVAL)
