"""``flowcore upgrade``: start the command of a running flowcore anew; the new process takes over."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import typer

from flowcore.cli.options import Control
from flowcore.control import ask, only_running, running

TAKEOVER: Final = "--takeover"


def upgrade(control: Control = None) -> None:
    """Replace a running flowcore by the installed version, without refusing or cutting a call.

    This starts the command line of the running process anew in the background, with this installation of flowcore, this
    environment and --takeover. Once the new process takes calls, the old one takes none any more and ends with its last
    call. If the new one cannot start, it says why, and the old one goes on as if nothing had happened.

    Exit code: 0 done, 1 the new process could not start, 2 no process is running, or several are and --control is
    missing.
    """
    path = control or only_running(running())
    answers, _ = ask(path, {"ask": "command"})
    told: Mapping[str, Any] = answers[0]
    arguments = [*told["arguments"], *[TAKEOVER] * (TAKEOVER not in told["arguments"])]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b'{"ask": "successor"}\n')
        # Its log goes to where this command's errors go, such as the journal of the service. It leaves the terminal, so
        # that Ctrl-C there does not end it.
        new = subprocess.Popen(  # noqa: S603  # the command line is one of this user's
            [sys.executable, sys.argv[0], *arguments],
            cwd=told["folder"],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            start_new_session=True,
        )
        successor = _successor(client, new)
    old = told["pid"]
    if successor == new.pid:
        typer.echo(f"process {new.pid} takes calls; process {old} ends with its last call")
        return
    if (code := new.poll()) is not None:
        why = f"the new process could not start (exit code {code}): process {old} goes on as before"
    else:
        why = f"process {old} ended before process {new.pid} was ready, which goes on without it"
    typer.echo(f"error: {why}", err=True)
    raise typer.Exit(1)


def _successor(client: socket.socket, new: subprocess.Popen[bytes]) -> int:
    """Wait for the process that takes over; return 0 when ``new``, or the process at the other end, ended before."""
    ended = os.pidfd_open(new.pid)
    try:
        select.select([client.fileno(), ended], [], [])
    finally:
        os.close(ended)
    if new.poll() is not None:
        return 0
    with suppress(ValueError, OSError, KeyError):
        return int(json.loads(client.recv(4096).partition(b"\n")[0])["answer"])
    return 0
