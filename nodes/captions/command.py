"""``flowcore token``: make a link to the captions of one call."""

from __future__ import annotations

import os
import time
from typing import Annotated
from urllib.parse import urlencode, urlsplit

import typer

from flowcore.cli.options import parse_seconds
from nodes.captions.access import MIN_SECRET_CHARS, mint


def token(
    call: Annotated[str, typer.Argument(metavar="CALL", help="Id of the call.")],
    lasts: Annotated[str, typer.Option("--for", metavar="TIME", help="How long the link opens the page.")] = "1h",
    secret: Annotated[
        str, typer.Option(metavar="NAME", help="The environment variable that holds the graph's secret.")
    ] = "VIEWER_KEY",  # noqa: S107  # a name, not a secret
    url: Annotated[
        str, typer.Option(metavar="URL", help="Address of the server for viewers.")
    ] = "http://127.0.0.1:3333",
) -> None:
    """Make a link to the captions of one call.

    The graph's `captions` must have `access: token`.

    The link shows this call only and opens the page until it expires; an open page stays open.

    Exit code: 0 done, 2 the command line or the secret is wrong.
    """
    if not call.strip():  # for example from an unset variable: the page would refuse the link
        raise typer.BadParameter("give the id of a call: `flowcore calls` lists the live ones", param_hint="CALL")
    held = os.environ.get(secret, "")
    if len(held) < MIN_SECRET_CHARS:
        what = f"is shorter than {MIN_SECRET_CHARS} characters" if held else "is not set"
        raise typer.BadParameter(f"{secret} {what}: give it the secret of the graph's captions", param_hint="--secret")
    seconds = parse_seconds(lasts, "--for")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
        raise typer.BadParameter(f"{url} is not an address like https://captions.example.com", param_hint="--url")
    signed = mint(held, call, int(time.time() + seconds))
    typer.echo(f"{parts.scheme}://{parts.netloc}/client?{urlencode({'callId': call, 'token': signed})}")
