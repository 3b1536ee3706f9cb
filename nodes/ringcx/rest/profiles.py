"""The four requests for the streaming profile of a queue or campaign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from nodes.ringcx.rest.ids import path_segment
from nodes.ringcx.rest.platform import Request

PATH = "/platform/api/media/product"
UNKNOWN = "the change may have been made: `flowcore profile get` tells"

Kind = Literal["queue", "campaign"]


@dataclass(frozen=True)
class Product:
    """A queue or campaign, by its number, in a sub-account."""

    kind: Kind
    number: int
    sub_account: str

    def __str__(self) -> str:
        return f"{self.kind} {self.number} of sub-account {self.sub_account}"


def create(product: Product, main_account: str, rc_account: str, url: str, secret: str) -> Request:
    """Stream the calls of ``product`` to ``url``. An empty ``secret`` is left out.

    ``main_account`` is the account above the sub-account in RingCX, ``rc_account`` that in RingCentral.
    """
    body = _body(product, url, secret) | {"mainAccountId": main_account, "rcAccountId": rc_account}
    unknown = (
        f"it does not find {product}, or call streaming is not enabled for the account: "
        "ask your RingCentral representative"
    )
    return Request("POST", PATH, body, _explanations(product) | {404: unknown}, UNKNOWN)


def update(product: Product, url: str, secret: str) -> Request:
    """Change the address or the secret."""
    return Request("PUT", PATH, _body(product, url, secret), _explanations(product), UNKNOWN)


def get(product: Product) -> Request:
    """Read the profile."""
    return Request("GET", _path(product), explanations=_explanations(product))


def delete(product: Product) -> Request:
    """Delete the profile. The answer is plain text."""
    return Request("DELETE", _path(product), explanations=_explanations(product))


def _body(product: Product, url: str, secret: str) -> dict[str, Any]:
    body = {
        "productType": product.kind.upper(),
        "productId": product.number,
        "subAccountId": product.sub_account,
        "streamingUrl": url,
    }
    return body | ({"secret": secret} if secret else {})


def _path(product: Product) -> str:
    account = path_segment("sub-account id", product.sub_account)
    return f"{PATH}/account/{account}/type/{product.kind.upper()}/id/{product.number}"


def _explanations(product: Product) -> dict[int, str]:
    return {
        400: "it rejects the request: check the ids and the address",
        403: f"this user may not see or change profiles of sub-account {product.sub_account}: "
        "give the user of the JWT admin rights there, and the app the permission ReadAccounts",
        404: f"there is no streaming profile for {product}: `flowcore profile create` makes one",
    }
