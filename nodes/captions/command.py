"""``flowcore token``: a link to the captions of one call, good for a while."""

from __future__ import annotations

import os
import time
from typing import Annotated
from urllib.parse import urlencode, urlsplit

import typer

from flowcore import Duration
from nodes.captions.access import SHORTEST, mint


def token(
    call: Annotated[str, typer.Argument(metavar="CALL", help="The call's id.", show_default=False)],
    lasts: Annotated[str, typer.Option("--for", metavar="TIME", help="How long it opens the page.")] = "1h",
    secret: Annotated[
        str, typer.Option(metavar="NAME", help="The environment variable that holds the graph's secret.")
    ] = "VIEWER_KEY",  # noqa: S107  # a name, not a secret
    url: Annotated[
        str, typer.Option(metavar="URL", help="Address of the server, as viewers see it.")
    ] = "http://127.0.0.1:3333",
) -> None:
    """Make a link to the captions of one call.

    It is for a graph whose `captions` say `access: token`.

    Whoever has the link sees this call and no other, and can open it until it expires; a page that is open stays.

    Exit code: 0 done, 2 the command line or the secret is wrong.
    """
    if not call.strip():  # as from a variable that is not set: the page wants a call, and would refuse the link
        raise typer.BadParameter("give the id of a call: `flowcore calls` lists the live ones", param_hint="CALL")
    held = os.environ.get(secret, "")
    if len(held) < SHORTEST:
        what = f"is shorter than {SHORTEST} characters" if held else "is not set"
        raise typer.BadParameter(f"{secret} {what}: give it the secret of the graph's captions", param_hint="--secret")
    try:
        seconds = float(Duration(lasts))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--for") from None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
        raise typer.BadParameter(f"{url} is no address like https://captions.example.com", param_hint="--url")
    signed = mint(held, call, int(time.time() + seconds))
    typer.echo(f"{parts.scheme}://{parts.netloc}/client?{urlencode({'callId': call, 'token': signed})}")
