"""Access to the admin API: tokens and what each may do, the hosts of a port without one, and trusted proxies."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from flowcore.addresses import Network, in_networks, is_loopback, normalize_address
from flowcore.admin.access_advice import ADVICE
from flowcore.admin.problems import UNAUTHORIZED, ApiError
from flowcore.admin.sessions import Sessions
from flowcore.admin.settings import ADMIN, READ

OnRejected = Callable[[str, str], None]
"""Called with the reason and the client's address for each request that is turned away."""
PROXY_HEADERS: Final = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
"""Headers of a request that came through a proxy, so perhaps from another machine."""
SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing."""

Scope = Literal["read", "listen", "control"]
SCOPES: Final[Mapping[str, tuple[Scope, ...]]] = {ADMIN: ("read", "listen", "control"), READ: ("read",), "": ("read",)}
"""What a client may do, by the name of its token; empty is a client of this machine where no token is set."""


@dataclass(frozen=True)
class Client:
    """A client that was let in, with the name of its token."""

    token: str
    address: str

    @property
    def scopes(self) -> tuple[Scope, ...]:
        return SCOPES[self.token]


class Access:
    """Lets a request in, or raises `ApiError`. ``tokens`` are known by name: see `SCOPES`.

    Without a token only this machine reaches the port. Then a page of another site that is open in a browser of
    this machine must not: the request's Host, and its Origin if it has one, must be names of this machine.
    """

    def __init__(
        self, tokens: Mapping[str, str], proxies: Sequence[Network], encrypted: bool, on_rejected: OnRejected
    ) -> None:
        self._tokens = {name: token.encode() for name, token in tokens.items()}
        self.sessions = Sessions(tokens)
        self._proxies = proxies
        self._encrypted = encrypted
        self._on_rejected = on_rejected

    def check_peer(self, request: Request) -> None:
        """Refuse connections that neither come through a trusted proxy nor are encrypted, and pages of other sites."""
        if self._proxies and not self._encrypted:
            address = normalize_address(_peer(request))
            if not address.is_loopback and not in_networks(address, self._proxies):
                raise self.rejection("no_trusted_proxy", request, HTTPStatus.FORBIDDEN)
        if not self._tokens and not _is_local(request):
            raise self.rejection("foreign_site", request, HTTPStatus.FORBIDDEN)
        if request.method not in SAFE_METHODS and _is_cross_origin(request):
            raise self.rejection("foreign_page", request, HTTPStatus.FORBIDDEN)

    @property
    def has_tokens(self) -> bool:
        """Whether clients need a token."""
        return bool(self._tokens)

    def is_encrypted(self, request: Request) -> bool:
        """Whether the client's connection is encrypted, here or by a proxy: all but those of this machine are."""
        return self._encrypted or not _is_local(request)

    def session_of(self, request: Request) -> str | None:
        """Return the name of the token with which this browser signed in; None without, empty where none is needed."""
        if not self._tokens:
            return ""
        return self.sessions.token_of(request.cookies.get(self.sessions.cookie, ""), time.time()) or None

    def check_token(self, request: Request, given: HTTPAuthorizationCredentials | None) -> Client:
        """Return the client. Refuse a request without one of the tokens, or the session of one.

        A browser sends the cookie also for pages of other origins: these are refused, even if they only read.
        """
        if not self._tokens:
            return Client("", _peer(request))
        if given is None and (name := self.session_of(request)):
            if _is_cross_origin(request):
                raise self.rejection("foreign_page", request, HTTPStatus.FORBIDDEN)
            return Client(name, _peer(request))
        credentials = given.credentials.encode() if given is not None else b""
        names = [name for name, token in self._tokens.items() if secrets.compare_digest(credentials, token)]
        if not names:
            reason = "no_token" if given is None else "wrong_token"
            raise self.rejection(reason, request, HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"})
        return Client(names[0], _peer(request))

    def check_scope(self, request: Request, client: Client, scope: Scope) -> None:
        """Refuse a client whose token may not do this."""
        if scope not in client.scopes:
            raise self.rejection("read_token" if client.token else "token_unset", request, HTTPStatus.FORBIDDEN)

    def rejection(
        self, reason: str, request: Request, status: HTTPStatus, headers: dict[str, str] | None = None
    ) -> ApiError:
        """Report that the request is turned away, and return its error. ``reason`` is one of `ADVICE`."""
        self._on_rejected(reason, _peer(request))
        detail = UNAUTHORIZED if status == HTTPStatus.UNAUTHORIZED else ADVICE[reason]
        return ApiError(status, detail, headers)


_bearer = HTTPBearer(
    auto_error=False, description="The token of FLOWCORE_ADMIN_TOKEN or FLOWCORE_ADMIN_READ_TOKEN, if one is set."
)


async def authorized(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Client:
    """Dependency of every operation that needs a token: returns the client."""
    access: Access = request.app.state.access
    access.check_peer(request)
    return access.check_token(request, given)


Authorized = Annotated[Client, Depends(authorized)]


async def may_listen(request: Request, client: Authorized) -> Client:
    """Dependency of operations that give the audio or the words of a call."""
    access: Access = request.app.state.access
    access.check_scope(request, client, "listen")
    return client


async def may_control(request: Request, client: Authorized) -> Client:
    """Dependency of operations that change a call or the run."""
    access: Access = request.app.state.access
    access.check_scope(request, client, "control")
    return client


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


def _is_cross_origin(request: Request) -> bool:
    """Whether a browser sends the request for a page of another origin, by the rules of Go's CrossOriginProtection.

    Browsers have sent ``Sec-Fetch-Site`` since 2023, to this machine or over TLS; else ``Origin`` must fit ``Host``.
    """
    if site := request.headers.get("sec-fetch-site"):
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and origin.partition("://")[2] != request.headers.get("host")
