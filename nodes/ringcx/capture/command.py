"""``flowcore capture``: write the messages of a live call, or of the next one, to a file that can be replayed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from flowcore.cli.options import Control, parse_seconds
from flowcore.control import ask, find_call, only_running, running
from flowcore.control.errors import without_answer
from flowcore.diagnostics import counted
from flowcore.errors import UsageError
from nodes.ringcx.capture.captures import CONTROL_REQUEST, MAX_WAIT

NEXT = "next"


def capture(
    name: Annotated[
        str,
        typer.Argument(
            metavar="CALL|next", help="Any id of a live call, its beginning, a phone number, newest; or the next call."
        ),
    ],
    source: Annotated[
        str, typer.Option("--from", metavar="ID", help="With next: only a call with this phone number or other id.")
    ] = "",
    within: Annotated[str, typer.Option(metavar="TIME", help="With next: how long to wait for it.")] = "1h",
    stop: Annotated[
        bool, typer.Option("--stop", help="End the capture of a call; with next: wait for no call any more.")
    ] = False,
    control: Control = None,
) -> None:
    """Write the messages of one call to a file.

    They are written as they come, for `flowcore replay`. A capture of a live call begins with what began the call and
    goes on from now on, until the call ends. It has the audio and the numbers of the call, no secrets, and silence
    where an operator paused the call or muted a party; only this user can read it. `flowcore scrub` removes what was
    said, numbers and names. Place and limits of captures: `capture` of the graph's listener.

    The call does not notice: a capture that the disk cannot take ends, and the call goes on.

    Exit code: 0 done, 2 no such call, several calls match, no process is running, or several are and --control is
    missing.
    """
    path = control or only_running(running())
    if name != NEXT and source:
        raise typer.BadParameter(f"--from is for the next call: flowcore capture next --from {source}")
    if name == NEXT:
        seconds = parse_seconds(within, "--within")
        if seconds > MAX_WAIT:
            raise typer.BadParameter("give at most 24h", param_hint="--within")
        wish = {"do": "next", "name": secrets.token_hex(8), "source": source, "within": seconds}
        answers = _ask(path, {"do": "forget"} if stop else wish)
        if stop:
            told = f"waited for {counted(max(answer['waiting'] for answer in answers), 'call')}; for none any more"
        else:
            told = f"the next call{f' from {source}' if source else ''} within {within} will be captured"
        typer.echo(told)
        return
    call = find_call(path, name)
    request = {"do": "stop" if stop else "begin", "flow": call["flow"], "call_id": call["call_id"]}
    paths = [each for answer in _ask(path, request) for each in answer["paths"]]
    if stop and not paths:
        typer.echo("it was not captured")
    for each in paths:
        typer.echo(each)


def _ask(path: Any, request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the answers of the workers that have one. Raises `UsageError`."""
    answers, missing = ask(path, {"ask": CONTROL_REQUEST, **request})
    given = [answer for answer in answers.values() if answer]
    done = [answer for answer in given if "error" not in answer]
    if not done:
        raise UsageError(given[0]["error"] if given else f"the call has ended{without_answer(missing)}")
    return done
