"""Access to the admin API: the token, the hosts of a port without one, and trusted proxies."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from flowcore.addresses import Network, in_networks, is_loopback, normalize_address
from flowcore.admin.access_advice import ADVICE
from flowcore.admin.problems import UNAUTHORIZED, ApiError

OnRejected = Callable[[str, str], None]
"""Called with the reason and the client's address for each request that is turned away."""
PROXY_HEADERS: Final = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
"""Headers of a request that came through a proxy, so perhaps from another machine."""


class Access:
    """Lets a request in, or raises `ApiError`.

    Without a ``token`` only this machine reaches the port. Then a page of another site that is open in a browser of
    this machine must not: the request's Host, and its Origin if it has one, must be names of this machine.
    """

    def __init__(self, token: str, proxies: Sequence[Network], encrypted: bool, on_rejected: OnRejected) -> None:
        self.has_token = bool(token)
        self._token = token.encode()
        self._proxies = proxies
        self._encrypted = encrypted
        self._on_rejected = on_rejected

    def check_peer(self, request: Request) -> None:
        """Refuse connections that neither come through a trusted proxy nor are encrypted, and pages of other sites."""
        if self._proxies and not self._encrypted:
            address = normalize_address(_peer(request))
            if not address.is_loopback and not in_networks(address, self._proxies):
                raise self.rejection("no_trusted_proxy", request, HTTPStatus.FORBIDDEN)
        if not self.has_token and not _is_local(request):
            raise self.rejection("foreign_site", request, HTTPStatus.FORBIDDEN)

    def check_token(self, request: Request, given: HTTPAuthorizationCredentials | None) -> None:
        """Refuse a request without the right token."""
        if not self.has_token:
            return
        if given is None or not secrets.compare_digest(given.credentials.encode(), self._token):
            reason = "no_token" if given is None else "wrong_token"
            raise self.rejection(reason, request, HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"})

    def rejection(
        self, reason: str, request: Request, status: HTTPStatus, headers: dict[str, str] | None = None
    ) -> ApiError:
        """Report that the request is turned away, and return its error. ``reason`` is one of `ADVICE`."""
        self._on_rejected(reason, _peer(request))
        detail = UNAUTHORIZED if status == HTTPStatus.UNAUTHORIZED else ADVICE[reason]
        return ApiError(status, detail, headers)


_bearer = HTTPBearer(auto_error=False, description="The token of FLOWCORE_ADMIN_TOKEN, if that is set.")


async def authorized(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> None:
    """Dependency of every operation that needs the token."""
    access: Access = request.app.state.access
    access.check_peer(request)
    access.check_token(request, given)


async def known_peer(request: Request) -> None:
    """Dependency of the operations without a token."""
    access: Access = request.app.state.access
    access.check_peer(request)


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""


def _is_local(request: Request) -> bool:
    headers = request.headers
    if any(name in headers for name in PROXY_HEADERS):
        return False
    hosts = [f"//{host}" for host in headers.getlist("host")]
    return len(hosts) == 1 and all(map(_names_this_machine, (*hosts, *headers.getlist("origin"))))


def _names_this_machine(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:  # brackets without an IPv6 address
        return False
