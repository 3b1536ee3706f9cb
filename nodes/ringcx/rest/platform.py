"""Client of RingCX's REST API: logs in, keeps to the rate limits, and explains errors in plain words.

Login takes two steps: RingCentral's OAuth turns the user's JWT into a token, which RingCX exchanges for its own.
Messages never contain a secret: all secrets are cut out of the servers' texts.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flowcore import Extra, FlowcoreError
from nodes.net.proxy_trust import is_loopback
from nodes.ringcx.credentials import MASK, SENSITIVE_NAME
from nodes.ringcx.rest.token_cache import MAX_LOGINS, TOKEN_LIFETIME, TokenCache, Tokens, cache_directory

if TYPE_CHECKING:
    import httpx

MAX_QUOTE = 300
"""Characters of a server's own text that are shown."""

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"  # RFC 7523


class PlatformError(FlowcoreError):
    """RingCentral refused or failed. The text says what to do."""


@dataclass(frozen=True)
class Login:
    """The app and user that log in. Only ``client_id`` is ever shown."""

    client_id: str
    client_secret: str = field(repr=False)
    jwt: str = field(repr=False)


@dataclass(frozen=True)
class Servers:
    """Base URLs: of RingCentral's OAuth, and of RingCX."""

    login: str
    ringcx: str


@dataclass(frozen=True)
class Request:
    """One request of the API. ``explanations`` explain the status codes of its answers."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    explanations: Mapping[int, str] = field(default_factory=dict)


def masked(value: Any) -> Any:
    """Return JSON with the values of fields that may hold secrets masked."""
    if isinstance(value, Mapping):
        return {
            key: MASK if SENSITIVE_NAME.search(key) and entry not in (None, "") else masked(entry)
            for key, entry in value.items()
        }
    return [masked(entry) for entry in value] if isinstance(value, list) else value


class Platform:
    """One login at one pair of servers. ``timeout`` is in seconds; ``say`` receives texts about delays for the user.

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
        Extra("httpx", "ringcentral").check("flowcore profile")
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
        """Log in and send a request; return the answer's JSON, or its text if it is no JSON."""
        if request.body and request.body.get("secret"):
            self._secrets.add(str(request.body["secret"]))
        access, cached = self._access()
        answer = self._send_as(access, request)
        if answer.status_code == HTTPStatus.UNAUTHORIZED and cached:  # the token ended early
            access, _ = self._access(instead_of=access)
            answer = self._send_as(access, request)
        self._check(answer, "RingCX", request.explanations)
        try:
            return answer.json()
        except ValueError:
            return answer.text

    def _send_as(self, access: str, request: Request) -> httpx.Response:
        headers = {"Authorization": f"Bearer {access}"}
        url = self._servers.ringcx + request.path
        return self._ask(request.method, url, headers=headers, json=request.body)

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
        self._wait_for_turn(tokens)
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
        self._wait_for_turn(tokens)
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

    def _wait_for_turn(self, tokens: Tokens) -> None:
        """Wait until RingCX issues another token, and record the time."""
        wait = tokens.wait(self._cache.now())
        if wait > 0:
            self._say(f"RingCX allows {MAX_LOGINS} logins a minute: waiting {wait:.0f} s")
            self._sleep(wait)
        tokens.requests.append(self._cache.now())

    def _token(self, answer: httpx.Response, server: str, name: str) -> str:
        try:
            token = answer.json()[name]
        except (ValueError, KeyError, TypeError):
            token = None
        if not isinstance(token, str) or not token:
            raise PlatformError(f"{server} answers without {name}: check the server's address")
        self._secrets.add(token)
        return token

    def _ask(self, method: str, url: str, **content: Any) -> httpx.Response:
        import httpx

        server = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        try:
            return self._http.request(method, url, **content)
        except httpx.ConnectTimeout:
            raise PlatformError(f"{server} cannot be reached within {self._timeout:g} s: try again") from None
        except httpx.TimeoutException:
            raise PlatformError(f"{server} does not answer within {self._timeout:g} s{_uncertainty(method)}") from None
        except httpx.ConnectError as error:
            raise PlatformError(f"{server} cannot be reached: {self._clean(str(error))}") from None
        except httpx.HTTPError as error:  # the connection broke, or the answer was no HTTP
            raise PlatformError(
                f"{server} broke the connection: {self._clean(str(error))}{_uncertainty(method)}"
            ) from None

    def _check(self, answer: httpx.Response, server: str, explanations: Mapping[int, str]) -> None:
        """Raise `PlatformError` unless the status is 200, the only one that is documented."""
        status = answer.status_code
        if status == HTTPStatus.OK:
            return
        quote = self._quote(answer)
        if status in explanations:
            text = explanations[status]
        elif status == HTTPStatus.TOO_MANY_REQUESTS:
            after = answer.headers.get("Retry-After", "")
            text = f"too many requests: try again in {after if after.isdecimal() else '60'} s"
        elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            text = f"it has an internal error: try again later{_uncertainty(answer.request.method)}"
        elif answer.is_redirect:
            text = (
                f"it redirects to {self._clean(answer.headers['Location'])}: give that server's address, if it is right"
            )
        else:
            text = "it rejects the request"
        raise PlatformError(f"{server} answers {status}: {text}" + (f"\nit says: {quote}" if quote else ""))

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


def _uncertainty(method: str) -> str:
    if method in ("GET", "DELETE"):
        return ""
    return "; the change may have been made: `flowcore profile get` tells"
