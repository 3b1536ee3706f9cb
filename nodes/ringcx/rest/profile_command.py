"""``flowcore profile``: manages the profile that sets where RingCX streams the calls of a queue or campaign."""

from __future__ import annotations

from typing import Annotated

import typer

from nodes.ringcx.rest import address, profiles
from nodes.ringcx.rest.platform import Request
from nodes.ringcx.rest.profiles import Product
from nodes.ringcx.rest.request_command import (
    LOGIN_HELP,
    RcAccount,
    SubAccount,
    checked_url,
    request_command,
    secret_from_environment,
)

profile = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help=f"""Set where RingCX streams the calls of a queue or campaign.

    {LOGIN_HELP}""",
)

KindOption = Annotated[profiles.Kind, typer.Option("--type", help="Kind of product.", case_sensitive=False)]
Number = Annotated[int, typer.Option("--id", min=1, max=2**31 - 1, help="Number of the queue or campaign.")]
Url = Annotated[str, typer.Option(help='wss://HOST or wss://HOST:PORT of `flowcore run`; "" for none.')]


def _product(kind: KindOption, number: Number, sub_account: SubAccount) -> Product:
    return Product(kind, number, sub_account)


_command = request_command(profile, _product)


@_command
def create(
    product: Product,
    main_account: Annotated[str, typer.Option(envvar="RINGCX_MAIN_ACCOUNT", help="The main account's id in RingCX.")],
    rc_account: RcAccount,
    url: Url,
) -> tuple[Request, str]:
    """Start streaming: create the profile.

    Then enable "Agent segment recording" for the queue (Routing > Voice queues & skills > queue > Recording
    settings) or campaign (Dialing > Campaigns > campaign > Recording settings).
    """
    secret = secret_from_environment()
    request = profiles.create(product, main_account, rc_account, checked_url(address.check, url), secret)
    return request, f"created the profile of {product}"


@_command
def get(product: Product) -> tuple[Request, str]:
    """Show the profile; of its secret, only whether one is set."""
    return profiles.get(product), f"the profile of {product}"


@_command
def update(product: Product, url: Url) -> tuple[Request, str]:
    """Change the address or the secret."""
    secret = secret_from_environment("; whether RingCX keeps an earlier secret is not documented")
    return profiles.update(product, checked_url(address.check, url), secret), f"changed the profile of {product}"


@_command
def delete(product: Product) -> tuple[Request, str]:
    """Stop streaming: delete the profile."""
    return profiles.delete(product), f"deleted the profile of {product}"
