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
START: Final = """
import subprocess, sys
print(subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).pid)
"""


def upgrade(control: Control = None) -> None:
    """Replace a running flowcore, without refusing or cutting a call.

    This starts the command line of the running process anew in the background, with this installation of flowcore, this
    environment and --takeover. Once the new process takes calls, the old one takes none any more and ends with its last
    call. If the new one cannot start, it says why, and the old one goes on as if nothing had happened.

    Exit code: 0 done, 1 the new process could not start, 2 no process is running, or several are and --control is
    missing.
    """
    path = control or only_running(running())
    answers, _ = ask(path, {"ask": "command"})
    told: Mapping[str, Any] = answers[0]
    old = told["pid"]
    arguments = [*told["arguments"], *[TAKEOVER] * (TAKEOVER not in told["arguments"])]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b'{"ask": "successor"}\n')
        new = _start([sys.executable, sys.argv[0], *arguments], told["folder"], told["environment"])
        successor = _successor(client, new)
    if successor != new:
        typer.echo(f"error: the new process could not start; process {old} goes on if it did before", err=True)
        raise typer.Exit(1)
    typer.echo(f"process {new} takes calls; process {old} ends with its last call")


def _start(command: list[str], folder: str, environment: Mapping[str, str]) -> int:
    """Start a process in the background, and return its id.

    Its log goes to where our errors go, such as the journal of a service; the list of files at its end goes nowhere,
    since who reads our output would wait for it. It leaves the terminal, so that Ctrl-C there does not end it. The
    process in between ends at once: systemd waits only for a main process that is its own child.
    """
    started = subprocess.run(  # noqa: S603  # the command line is one of this user's
        [sys.executable, "-c", START, *command],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        start_new_session=True,
        check=True,
    )
    return int(started.stdout)


def _successor(client: socket.socket, new: int) -> int:
    """Wait for the process that takes over; return 0 when ``new``, or the process at the other end, ended before."""
    try:
        ended = os.pidfd_open(new)
    except ProcessLookupError:
        return 0
    try:
        select.select([client.fileno(), ended], [], [])
        client.setblocking(False)
        with suppress(ValueError, OSError, KeyError):
            return int(json.loads(client.recv(4096).partition(b"\n")[0])["answer"])
        return 0
    finally:
        os.close(ended)
