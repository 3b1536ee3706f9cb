"""``flowcore profile``: manages the profile that sets where RingCX streams the calls of a queue or campaign."""

from __future__ import annotations

import functools
import inspect
import json
import os
from collections.abc import Callable
from contextlib import closing
from typing import Annotated, Any

import typer

from flowcore import Duration
from nodes.ringcx.credentials import MASK, MAX_LENGTH, MIN_LENGTH
from nodes.ringcx.rest import address, profiles
from nodes.ringcx.rest.platform import Login, Platform, Request, Servers, masked
from nodes.ringcx.rest.profiles import Product

SECRET = "RINGCX_SECRET"  # noqa: S105  # a name, not a secret
LOGIN = ("RC_APP_CLIENT_ID", "RC_APP_CLIENT_SECRET", "RC_USER_JWT")

profile = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="""Set where RingCX streams the calls of a queue or campaign.

    The login comes from the environment only: RC_APP_CLIENT_ID and RC_APP_CLIENT_SECRET of an app with JWT login in
    RingCentral's developer console, and RC_USER_JWT of a user with admin rights in RingCX. RINGCX_SECRET is the secret
    that RingCX presents when it calls. None of them is ever printed.

    RingCX's token is stored for its 5 minutes, readable only by this user, in ~/.cache/flowcore. A sixth login within a
    minute waits, as RingCX would refuse it.

    Exit code: 0 done, 1 RingCX refused or failed, 2 the command line is wrong.
    """,
)


KindOption = Annotated[profiles.Kind, typer.Option("--type", help="Kind of product.", case_sensitive=False)]
Number = Annotated[int, typer.Option("--id", min=1, max=2**31 - 1, help="Number of the queue or campaign.")]
SubAccount = Annotated[str, typer.Option(envvar="RINGCX_SUB_ACCOUNT", help="The id of its sub-account in RingCX.")]
Url = Annotated[str, typer.Option(help='wss://HOST or wss://HOST:PORT of `flowcore run`; "" for none.')]
Server = Annotated[str, typer.Option(envvar="RINGCX_SERVER", help="RingCX's own server.")]
LoginServer = Annotated[str, typer.Option(envvar="RC_SERVER_URL", help="RingCentral's login server.")]
Timeout = Annotated[str, typer.Option(help="How long to wait for an answer.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the request, and send nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


def _run(
    prepare: Callable[..., tuple[Request, str]],
    kind: KindOption,
    number: Number,
    sub_account: SubAccount,
    server: Server = "https://ringcx.ringcentral.com",
    login_server: LoginServer = "https://platform.ringcentral.com",
    timeout: Timeout = "10s",
    dry_run: DryRun = False,
    as_json: AsJson = False,
    **own: Any,
) -> None:
    """Send the request of a command, and show the answer."""
    request, done = prepare(Product(kind, number, sub_account), **own)
    try:
        seconds = float(Duration(timeout))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--timeout") from None
    servers = Servers(login_server.rstrip("/"), server.rstrip("/"))
    if dry_run:
        typer.echo(f"{request.method} {servers.ringcx}{request.path}\nauthorization: Bearer {MASK}")
        if request.body is not None:
            typer.echo(f"content-type: application/json\n\n{json.dumps(masked(request.body), indent=2)}")
        raise typer.Exit
    missing = [name for name in LOGIN if not os.environ.get(name)]
    if missing:
        raise typer.BadParameter(
            f"set {', '.join(missing)} in the environment: `flowcore profile --help` says where to get them"
        )
    login = Login(*(os.environ[name] for name in LOGIN))
    with closing(Platform(login, servers, timeout=seconds, say=_say)) as platform:
        answer = masked(platform.send(request))
    if as_json:
        typer.echo(json.dumps(answer if isinstance(answer, dict) else {"answer": answer}))
        return
    typer.echo(done)
    for name, value in answer.items() if isinstance(answer, dict) else ():
        typer.echo(f"  {name:<14} {'(none)' if value in (None, '') else value}")


def _command(prepare: Callable[..., tuple[Request, str]]) -> None:
    """Register a command. ``prepare`` makes the request for a product, and the text that says what was done.

    The options of the command are those of `_run`, and after the product's those of ``prepare``.
    """

    @functools.wraps(prepare)
    def run(**options: Any) -> None:
        _run(prepare, **options)

    _, *product, server, login, timeout, dry_run, as_json, _ = inspect.signature(
        _run, eval_str=True
    ).parameters.values()
    _, *own = inspect.signature(prepare, eval_str=True).parameters.values()
    parameters = [*product, *own, server, login, timeout, dry_run, as_json]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # which typer reads
    profile.command()(run)


@_command
def create(
    product: Product,
    main_account: Annotated[str, typer.Option(envvar="RINGCX_MAIN_ACCOUNT", help="The main account's id in RingCX.")],
    rc_account: Annotated[str, typer.Option(envvar="RINGCX_RC_ACCOUNT", help="The account's id in RingCentral.")],
    url: Url,
) -> tuple[Request, str]:
    """Start streaming: create the profile.

    Then enable "Agent segment recording" for the queue (Routing > Voice queues & skills > queue > Recording
    settings) or campaign (Dialing > Campaigns > campaign > Recording settings).
    """
    request = profiles.create(product, main_account, rc_account, _checked(url), _secret(changing=False))
    return request, f"created the profile of {product}"


@_command
def get(product: Product) -> tuple[Request, str]:
    """Show the profile; of its secret, only whether one is set."""
    return profiles.get(product), f"the profile of {product}"


@_command
def update(product: Product, url: Url) -> tuple[Request, str]:
    """Change the address or the secret."""
    return profiles.update(product, _checked(url), _secret(changing=True)), f"changed the profile of {product}"


@_command
def delete(product: Product) -> tuple[Request, str]:
    """Stop streaming: delete the profile."""
    return profiles.delete(product), f"deleted the profile of {product}"


def _checked(url: str) -> str:
    try:
        address.check(url)
    except address.BadAddress as error:
        raise typer.BadParameter(str(error), param_hint="--url") from None
    problem = address.unreachable(url)
    if problem:
        _say(f"warning: {problem}: give the public address of your proxy or tunnel")
    return url


def _secret(*, changing: bool) -> str:
    secret = os.environ.get(SECRET, "")
    if not secret:
        note = "; whether RingCX keeps an earlier secret is not documented" if changing else ""
        _say(f"no secret: {SECRET} is not set, so anyone who finds the address can call it{note}")
    elif not MIN_LENGTH <= len(secret) <= MAX_LENGTH:
        raise typer.BadParameter(
            f"{SECRET} has {len(secret)} characters, and ringcx accepts {MIN_LENGTH} to {MAX_LENGTH}: choose another"
        )
    return secret


def _say(text: str) -> None:
    typer.echo(text, err=True)
