"""``flowcore call``: end, pause or mute one live call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from flowcore.cli.options import Control
from flowcore.control import control_call, only_running, running
from flowcore.control.call_control import Action
from flowcore.diagnostics import listed, printable


def call(
    name: Annotated[
        str, typer.Argument(metavar="CALL", help="Any id of the call, its beginning, a phone number, or newest.")
    ],
    action: Annotated[Action, typer.Argument(help="What to do.")],
    party: Annotated[str, typer.Argument(metavar="PARTY", help="The party to mute or unmute, such as agent.")] = "",
    control: Control = None,
) -> None:
    """End, pause or mute one live call, whichever worker holds it.

    A paused call, or a muted party, is silence of the same length for all nodes behind the listener: recordings,
    transcripts, captions and listeners. It begins with the next audio that comes; what waits in queues already
    goes on. It holds for all sessions of the call, also when its peer connects again or is transferred, until
    resume or unmute.

    end ends the call in order, with whole files, and the reason operator.

    Exit code: 0 done, or it was so already; 2 no such call or party, several calls match, no process is running, or
    several are and --control is missing.
    """
    done = control_call(control or only_running(running()), name, action, party)
    typer.echo(_told(action, party, done))


def _told(action: str, party: str, done: Mapping[str, Any]) -> str:
    party, changed = printable(party), done["changed"]
    match action:
        case "pause":
            return "the call is paused" if changed else "it was paused already"
        case "resume":
            told = "the call is heard again" if changed else "it was not paused"
            return f"{told}; still muted: {listed(map(printable, done['muted']))}" if done["muted"] else told
        case "mute":
            return f"{party} is muted" if changed else f"{party} was muted already"
        case "unmute":
            told = f"{party} is not muted any more" if changed else f"{party} was not muted"
            return f"{told}; the call is still paused" if done["paused"] else told
    return "the call ends"
