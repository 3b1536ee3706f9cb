"""Client of RingCX's REST API: logs in, keeps to the rate limits, and explains errors in plain words.

Login takes two steps: RingCentral's OAuth turns the user's JWT into a token, which RingCX exchanges for its own.
Messages never contain a secret: all secrets are cut out of the servers' texts.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flowcore import Extra, FlowcoreError
from flowcore.addresses import is_loopback
from flowcore.errors import UsageError
from nodes.ringcx.credentials import MASK, SENSITIVE_NAME
from nodes.ringcx.rest.rate_limit import LOGINS, RateLimit
from nodes.ringcx.rest.token_cache import TOKEN_LIFETIME, TokenCache, Tokens, cache_directory

if TYPE_CHECKING:
    import httpx

MAX_QUOTE = 300
"""Characters of a server's own text that are shown."""

DEFAULT_RETRY_AFTER = 60
"""Seconds, where an answer of 429 names none."""

NO_API_ACCESS = (
    "it rejects the token of its own login: try again; if that does not help, ask for access to RingCX's API"
)

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"  # RFC 7523


LOGIN_VARIABLES = ("RC_APP_CLIENT_ID", "RC_APP_CLIENT_SECRET", "RC_USER_JWT")
"""The environment variables of a `Login`, in the order of its fields."""


class PlatformError(FlowcoreError):
    """RingCentral refused or failed. The text says what to do.

    ``status`` is that of the answer, and 0 without one. ``retry_after`` is in seconds; 0 means that it is not known.
    """

    def __init__(self, text: str, *, status: int = 0, retry_after: float = 0) -> None:
        self.status = status
        self.retry_after = retry_after
        super().__init__(text)


@dataclass(frozen=True)
class Login:
    """The app and user that log in. Only ``client_id`` is ever shown."""

    client_id: str
    client_secret: str = field(repr=False)
    jwt: str = field(repr=False)

    @classmethod
    def from_environment(cls) -> Login:
        """Read the login from `LOGIN_VARIABLES`. Raises `UsageError`, which names those that are missing."""
        missing = [name for name in LOGIN_VARIABLES if not os.environ.get(name)]
        if missing:
            raise UsageError(
                f"set {', '.join(missing)} in the environment: `flowcore profile --help` says where to get them"
            )
        return cls(*(os.environ[name] for name in LOGIN_VARIABLES))


@dataclass(frozen=True)
class Servers:
    """Base URLs: of RingCentral's OAuth, and of RingCX."""

    login: str
    ringcx: str


@dataclass(frozen=True)
class Request:
    """One request of the API. ``path`` may have a query.

    ``explanations`` explain the status codes of its answers, and ``if_unknown`` says what to do when no answer tells
    whether the request was carried out.
    """

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    explanations: Mapping[int, str] = field(default_factory=dict)
    if_unknown: str = ""
    limit: RateLimit | None = None


def masked(value: Any) -> Any:
    """Return JSON with the values of fields that may hold secrets masked."""
    if isinstance(value, Mapping):
        return {
            key: MASK if SENSITIVE_NAME.search(key) and entry not in (None, "") else masked(entry)
            for key, entry in value.items()
        }
    return [masked(entry) for entry in value] if isinstance(value, list) else value


def secrets_in(value: Any) -> Iterator[str]:
    """Yield the values that `masked` masks in a JSON object."""
    for key, entry in value.items() if isinstance(value, Mapping) else ():
        if isinstance(entry, str) and entry and SENSITIVE_NAME.search(key):
            yield entry
        yield from secrets_in(entry)


class Platform:
    """One login at one pair of servers, for any thread. ``timeout`` is in seconds; ``say`` receives texts about delays.

    Requests that would exceed a rate limit wait for their turn; all processes and threads of one login share the
    limits. No request is repeated, except after 401, which RingCX answers before it does anything.

    Raises `MissingExtra` without the package httpx, and `PlatformError` for a server address without TLS.
    """

    def __init__(
        self,
        login: Login,
        servers: Servers,
        *,
        timeout: float,
        say: Callable[[str], None],
        cache: TokenCache | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        Extra("httpx", "ringcentral").check("RingCX's REST API")
        import httpx

        for server in (servers.login, servers.ringcx):
            check_server(server)
        self._login = login
        self._servers = servers
        self._timeout = timeout
        self._say = say
        self._sleep = sleep
        identity = "\n".join((servers.login, servers.ringcx, login.client_id, login.jwt))
        name = f"ringcx-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.json"
        self._cache = cache or TokenCache(cache_directory() / name, say)
        self._secrets = {login.client_secret, login.jwt}
        self._http = httpx.Client(timeout=timeout, follow_redirects=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, request: Request) -> Any:
        """Log in and send a request; return the answer's JSON, or its text if it is no JSON.

        Raises `PlatformError`.
        """
        self._secrets.update(secrets_in(request.body))
        answer, access, cached = self._send_once(request)
        if answer.status_code == HTTPStatus.UNAUTHORIZED and cached:  # the token ended early
            answer, *_ = self._send_once(request, instead_of=access)
        self._check(answer, "RingCX", {401: NO_API_ACCESS, **request.explanations}, request.if_unknown)
        try:
            content = answer.json()
        except ValueError:
            return answer.text
        if content is False:
            raise PlatformError("RingCX answers false: it changed nothing; see whether the call still runs")
        return content

    def _send_once(self, request: Request, instead_of: str = "") -> tuple[httpx.Response, str, bool]:
        """Return the answer, the token, and whether the token was cached."""
        if request.limit:
            self._wait_for_turn(request.limit)  # first, as a token may end meanwhile
        access, cached = self._access(instead_of)
        headers = {"Authorization": f"Bearer {access}"}
        url = self._servers.ringcx + request.path
        return self._ask(request.method, url, request.if_unknown, headers=headers, json=request.body), access, cached

    def _access(self, instead_of: str = "") -> tuple[str, bool]:
        """Return a token of RingCX, and whether it was cached. ``instead_of`` is a token that RingCX refused."""
        with self._cache.open() as tokens:
            if tokens.fresh(self._cache.now()) and tokens.access != instead_of:
                self._secrets |= {tokens.access, tokens.refresh}
                return tokens.access, True
            tokens.access = ""
            if not (tokens.refresh and self._refresh(tokens)):
                self._log_in(tokens)
            return tokens.access, False

    def _refresh(self, tokens: Tokens) -> bool:
        """Exchange the refresh token for another access token; return whether that worked."""
        self._wait_to_log_in(tokens)
        began = self._cache.now()
        form = {"refresh_token": tokens.refresh}
        answer = self._ask("POST", f"{self._servers.ringcx}/api/auth/token/refresh", data=form)
        tokens.refresh = ""  # valid once; the answer brings the next
        if HTTPStatus.BAD_REQUEST <= answer.status_code < HTTPStatus.TOO_MANY_REQUESTS:
            return False  # expired: log in
        self._store(tokens, answer, began)
        return True

    def _log_in(self, tokens: Tokens) -> None:
        login = self._login
        self._wait_to_log_in(tokens)
        began = self._cache.now()
        answer = self._ask(
            "POST",
            f"{self._servers.login}/restapi/oauth/token",
            auth=(login.client_id, login.client_secret),
            data={"grant_type": GRANT, "assertion": login.jwt},
        )
        refused = "it rejects the login: check RC_APP_CLIENT_ID, RC_APP_CLIENT_SECRET and RC_USER_JWT"
        self._check(answer, "RingCentral", {400: refused, 401: refused})
        token = self._token(answer, "RingCentral", "access_token")
        answer = self._ask(
            "POST",
            f"{self._servers.ringcx}/api/auth/login/rc/accesstoken",
            params={"includeRefresh": "true"},
            data={"rcAccessToken": token, "rcTokenType": "Bearer"},
        )
        self._store(tokens, answer, began)

    def _store(self, tokens: Tokens, answer: httpx.Response, began: float) -> None:
        no_access = "it refuses this user: the JWT must be of a user who also has access to RingCX"
        self._check(answer, "RingCX's login", {401: no_access, 403: no_access})
        tokens.access = self._token(answer, "RingCX's login", "accessToken")
        tokens.expires = began + TOKEN_LIFETIME
        tokens.refresh = str(answer.json().get("refreshToken") or "")
        self._secrets.add(tokens.refresh)

    def _wait_to_log_in(self, tokens: Tokens) -> None:
        """Wait until RingCX issues another token. The file stays locked: others need this login too."""
        while wait := tokens.take_turn(LOGINS, self._cache.now()):
            self._pause(LOGINS, wait)

    def _wait_for_turn(self, limit: RateLimit) -> None:
        """Wait until RingCX answers another request. Others may go on meanwhile."""
        while True:
            with self._cache.open() as tokens:
                wait = tokens.take_turn(limit, self._cache.now())
            if not wait:
                return
            self._pause(limit, wait)

    def _pause(self, limit: RateLimit, seconds: float) -> None:
        self._say(f"RingCX allows {limit}: waiting {seconds:.0f} s")
        self._sleep(seconds)

    def _token(self, answer: httpx.Response, server: str, name: str) -> str:
        try:
            token = answer.json()[name]
        except (ValueError, KeyError, TypeError):
            token = None
        if not isinstance(token, str) or not token:
            raise PlatformError(f"{server} answers without {name}: check the server's address")
        self._secrets.add(token)
        return token

    def _ask(self, method: str, url: str, if_unknown: str = "", **content: Any) -> httpx.Response:
        import httpx

        server = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        try:
            return self._http.request(method, url, **content)
        except httpx.ConnectTimeout:
            raise PlatformError(f"{server} cannot be reached within {self._timeout:g} s: try again") from None
        except httpx.TimeoutException:
            raise PlatformError(f"{server} does not answer within {self._timeout:g} s{_also(if_unknown)}") from None
        except httpx.ConnectError as error:
            raise PlatformError(f"{server} cannot be reached: {self._clean(str(error))}") from None
        except httpx.HTTPError as error:  # the connection broke, or the answer was no HTTP
            raise PlatformError(
                f"{server} broke the connection: {self._clean(str(error))}{_also(if_unknown)}"
            ) from None

    def _check(
        self, answer: httpx.Response, server: str, explanations: Mapping[int, str], if_unknown: str = ""
    ) -> None:
        """Raise `PlatformError` unless the status is a success."""
        status = answer.status_code
        if answer.is_success:
            return
        quote = self._quote(answer)
        retry_after = 0
        if status in explanations:
            text = explanations[status]
        elif status == HTTPStatus.TOO_MANY_REQUESTS:
            after = answer.headers.get("Retry-After", "")
            retry_after = int(after) if after.isascii() and after.isdecimal() else DEFAULT_RETRY_AFTER
            text = f"too many requests: try again in {retry_after} s"
        elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            text = f"it has an internal error: try again later{_also(if_unknown)}"
        elif answer.is_redirect:
            text = (
                f"it redirects to {self._clean(answer.headers['Location'])}: give that server's address, if it is right"
            )
        else:
            text = "it rejects the request"
        says = f"\nit says: {quote}" if quote else ""
        raise PlatformError(f"{server} answers {status}: {text}{says}", status=status, retry_after=retry_after)

    def _quote(self, answer: httpx.Response) -> str:
        try:
            return self._clean(json.dumps(masked(answer.json())))
        except ValueError:
            return self._clean(answer.text)

    def _clean(self, text: str) -> str:
        """Return a server's text without secrets, on one line, and cut."""
        for secret in sorted(self._secrets - {""}, key=len, reverse=True):
            text = text.replace(secret, MASK)
        text = "".join(char if char.isprintable() else " " for char in text)
        return " ".join(text.split())[:MAX_QUOTE]


def check_server(address: str) -> None:
    """Raise `PlatformError` unless ``address`` is a base URL over TLS, or plain HTTP to this machine for a test."""
    url = urlsplit(address)
    host = url.hostname or ""
    if url.scheme not in ("https", "http") or not host or url.path or url.query:
        raise PlatformError(f"{address} is no server address: write  https://HOST")
    if url.scheme == "http" and not is_loopback(host):
        raise PlatformError(f"{address} would get the login unencrypted: write  https://{url.netloc}")


def _also(text: str) -> str:
    return f"; {text}" if text else ""
