"""``flowcore who``: adds the agents of calls to the metadata of recordings and transcripts, and to the call log."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from flowcore.call_log import PLACE, open_call_log
from flowcore.cli.options import parse_seconds
from flowcore.diagnostics import counted
from flowcore.errors import FlowcoreError, UsageError
from nodes.ringcx.rest.agents import Incomplete, Join, ready, windows_of
from nodes.ringcx.rest.call_files import waiting
from nodes.ringcx.rest.call_rows import CallRow, waiting_rows
from nodes.ringcx.rest.interactions import AVAILABLE_AFTER, Window, metadata
from nodes.ringcx.rest.platform import Request
from nodes.ringcx.rest.request_command import (
    DryRun,
    LoginServer,
    RcAccount,
    Server,
    SubAccount,
    Timeout,
    connect,
    say,
    show_request,
)

PAUSE: Final = 900.0
"""Seconds between two searches of --watch."""


def who(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders with recordings or transcripts.")],
    rc_account: RcAccount,
    sub_account: SubAccount,
    since: Annotated[str, typer.Option(help="How long after its end a call is still asked for.")] = "24h",
    call_log: Annotated[
        str, typer.Option("--call-log", envvar=PLACE, help="Complete this too: a file of SQLite, or a PostgreSQL URL.")
    ] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Search every 15 minutes until Ctrl-C.")] = False,
    server: Server = "https://ringcx.ringcentral.com",
    login_server: LoginServer = "https://platform.ringcentral.com",
    timeout: Timeout = "60s",
    dry_run: DryRun = False,
) -> None:
    """Add the agents of calls to their files and to the call log.

    RingCX tells who the agents were, the queue, their disposition and notes, a quarter of an hour after a call. The
    field `agents` of the metadata, and with --call-log the column `agents`, then hold them; files and rows that have
    them are left alone.

    The login comes from the environment: see `flowcore profile --help`. Requests that RingCX would refuse because there
    were too many wait: it answers 3 a minute and 9 in 15 minutes, each for the calls of up to 3 hours.

    Exit code: 0 done, 1 RingCX refused or failed, 2 the command line is wrong.
    """
    age = parse_seconds(since, "--since")
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder} is no directory: give one with recordings or transcripts")

    database = open_call_log(call_log) if call_log not in ("", "none") else None

    def request(window: Window) -> Request:
        return metadata(rc_account, sub_account, window)

    def find() -> tuple[list[Incomplete], list[Window], list[Incomplete]]:
        """Return the files and rows to ask for, the windows, and those that it is too early for."""
        now = time.time()
        found: list[Incomplete] = list(waiting(folders, sub_account, now - age))
        found += waiting_rows(database, now - age) if database else ()
        due = ready(found, now)
        return due, windows_of(due, now), [one for one in found if one not in due]

    if dry_run:
        due, windows, early = find()
        for window in windows:
            show_request(request(window), server)
        typer.echo(f"{_named(due)} to complete{_early(early)}")
        return
    with closing(connect(server, login_server, timeout)) as platform:

        def search() -> str:
            due, windows, early = find()
            join = Join(due)
            for window in windows:
                join.add(window, platform.send(request(window)))
            unknown = f"; {_named(join.waiting)} of calls that RingCX does not know" if join.waiting else ""
            return f"{_named(join.joined)} completed{unknown}{_early(early)}"

        if watch:
            with suppress(KeyboardInterrupt):
                _repeat(search)
        else:
            typer.echo(search())


def _repeat(search: Callable[[], str]) -> NoReturn:
    while True:
        try:
            typer.echo(search())
        except FlowcoreError as error:  # of RingCX or of the call log
            say(f"{error}\nthe next search is in {PAUSE / 60:.0f} minutes")
        time.sleep(PAUSE)


def _named(calls: Sequence[Incomplete]) -> str:
    rows = sum(isinstance(call, CallRow) for call in calls)
    files = counted(len(calls) - rows, "file")
    return f"{files} and {counted(rows, 'row')} of the call log" if rows else files


def _early(calls: Sequence[Incomplete]) -> str:
    return f"; {_named(calls)} of calls that ended less than {AVAILABLE_AFTER / 60:.0f} minutes ago" if calls else ""
