"""Commands that send one request each: their common options, the dry run, and what they print."""

from __future__ import annotations

import functools
import inspect
import json
import os
from collections.abc import Callable
from contextlib import closing
from typing import Annotated, Any

import typer

from flowcore.cli.options import parse_seconds
from nodes.ringcx.credentials import MASK, MAX_LENGTH, MIN_LENGTH
from nodes.ringcx.rest import address
from nodes.ringcx.rest.platform import Login, Platform, Request, Servers, masked

SECRET = "RINGCX_SECRET"  # noqa: S105  # a name, not a secret

SubAccount = Annotated[str, typer.Option(envvar="RINGCX_SUB_ACCOUNT", help="The id of its sub-account in RingCX.")]
RcAccount = Annotated[str, typer.Option(envvar="RINGCX_RC_ACCOUNT", help="The account's id in RingCentral.")]
Server = Annotated[str, typer.Option(envvar="RINGCX_SERVER", help="RingCX's own server.")]
LoginServer = Annotated[str, typer.Option(envvar="RC_SERVER_URL", help="RingCentral's login server.")]
Timeout = Annotated[str, typer.Option(help="How long to wait for an answer.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the request, and send nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]

LOGIN_HELP = """The login comes from the environment only: RC_APP_CLIENT_ID and RC_APP_CLIENT_SECRET of an app with JWT
    login in RingCentral's developer console, and RC_USER_JWT of a user with admin rights in RingCX. RINGCX_SECRET is
    the secret that RingCX presents when it calls. None of them is ever printed.

    RingCX's token is stored for its 5 minutes, readable only by this user, in ~/.cache/flowcore. Requests that RingCX
    would refuse because there were too many wait.

    Exit code: 0 done, 1 RingCX refused or failed, 2 the command line is wrong.
    """

Prepare = Callable[..., tuple[Request, str]]


def request_command(app: typer.Typer, target: Callable[..., Any]) -> Callable[[Prepare], None]:
    """Return a decorator that makes a function a command of ``app``.

    The function makes the request, and the text that says what was done, from a target and from options of its own.
    ``target`` makes the target from options. The command has the options of both, and those of `_send`.
    """

    def register(prepare: Prepare) -> None:
        own = list(inspect.signature(prepare, eval_str=True).parameters.values())[1:]
        of_target = list(inspect.signature(target, eval_str=True).parameters.values())
        common = list(inspect.signature(_send, eval_str=True).parameters.values())[2:]

        @functools.wraps(prepare)
        def run(**options: Any) -> None:
            chosen = target(**{option.name: options.pop(option.name) for option in of_target})
            request, done = prepare(chosen, **{option.name: options.pop(option.name) for option in own})
            _send(request, done, **options)

        by_keyword = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in (*of_target, *own, *common)]
        run.__signature__ = inspect.Signature(by_keyword)  # type: ignore[attr-defined]  # which typer reads
        app.command()(run)

    return register


def _send(
    request: Request,
    done: str,
    server: Server = "https://ringcx.ringcentral.com",
    login_server: LoginServer = "https://platform.ringcentral.com",
    timeout: Timeout = "10s",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Send a request, and show the answer after the text ``done``."""
    if dry_run:
        show_request(request, server)
        raise typer.Exit
    with closing(connect(server, login_server, timeout)) as platform:
        answer = masked(platform.send(request))
    if as_json:
        typer.echo(json.dumps(answer if isinstance(answer, dict) else {"answer": answer}))
        return
    typer.echo(done)
    for name, value in answer.items() if isinstance(answer, dict) else ():
        typer.echo(f"  {name:<14} {'(none)' if value in (None, '') else value}")


def connect(server: str, login_server: str, timeout: str) -> Platform:
    """Return a client with the login of the environment. Raises `typer.BadParameter`, `UsageError`, `PlatformError`."""
    servers = Servers(login_server.rstrip("/"), server.rstrip("/"))
    return Platform(Login.from_environment(), servers, timeout=parse_seconds(timeout, "--timeout"), say=say)


def show_request(request: Request, server: str) -> None:
    """Print a request without its secrets."""
    typer.echo(f"{request.method} {server.rstrip('/')}{request.path}\nauthorization: Bearer {MASK}")
    if request.body is not None:
        typer.echo(f"content-type: application/json\n\n{json.dumps(masked(request.body), indent=2)}")


def checked_url(check: Callable[[str], str], url: str) -> str:
    """Return an address that passes ``check``; warn if RingCX cannot reach it. Raises `typer.BadParameter`."""
    try:
        check(url)
    except address.BadAddress as error:
        raise typer.BadParameter(str(error), param_hint="--url") from None
    problem = address.unreachable(url)
    if problem:
        say(f"warning: {problem}: give the public address of your proxy or tunnel")
    return url


def secret_from_environment(note: str = "") -> str:
    """Return the secret; warn, with ``note``, if there is none. Raises `typer.BadParameter` for an impossible one."""
    secret = os.environ.get(SECRET, "")
    if not secret:
        say(f"no secret: {SECRET} is not set, so anyone who finds the address can call it{note}")
    elif not MIN_LENGTH <= len(secret) <= MAX_LENGTH:
        raise typer.BadParameter(
            f"{SECRET} has {len(secret)} characters, and ringcx accepts {MIN_LENGTH} to {MAX_LENGTH}: choose another"
        )
    return secret


def say(text: str) -> None:
    """Print a text for the user on standard error."""
    typer.echo(text, err=True)
