"""RingCX's REST API: log in, keep to its limits, and say in plain words what it answered.

Login takes two steps: RingCentral's OAuth turns the user's JWT into a token, which RingCX exchanges for its own. No
secret ever gets into a message: what the servers say is shown only after all of them are cut out.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flowcore import Extra, FlowcoreError
from nodes.ringcx.rest.token_cache import LIFE, LOGINS, Kept, TokenCache, directory

if TYPE_CHECKING:
    import httpx

MASK = "***"
SHOWN = 300
"""Characters of a server's own words that are shown."""

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"  # RFC 7523
_SECRET = re.compile(r"secret|token|password|assertion|authorization", re.IGNORECASE)


class PlatformError(FlowcoreError):
    """RingCentral did not do what it was asked; the text says what to do. ``status`` is 0 when there was no answer."""

    def __init__(self, text: str, status: int = 0) -> None:
        self.status = status
        super().__init__(text)


@dataclass(frozen=True)
class Login:
    """Who asks. None of it but ``client_id`` is ever shown."""

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
    """One request of the API, before anybody has logged in for it. ``means`` says what an answer's status means."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    means: Mapping[int, str] = field(default_factory=dict)


def masked(value: Any) -> Any:
    """JSON with the values of all that sounds like a secret replaced."""
    if isinstance(value, Mapping):
        return {
            key: MASK if _SECRET.search(key) and entry not in (None, "") else masked(entry)
            for key, entry in value.items()
        }
    return [masked(entry) for entry in value] if isinstance(value, list) else value


class Platform:
    """One login at one pair of servers. ``timeout`` is in seconds; ``say`` tells the user what takes time.

    Raises `MissingExtra` without the package httpx, and `PlatformError` for a server that is not to be trusted with
    secrets.
    """

    def __init__(
        self,
        login: Login,
        servers: Servers,
        *,
        timeout: float,
        say: Callable[[str], None],
        shelf: TokenCache | None = None,
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
        who = "\n".join((servers.login, servers.ringcx, login.client_id, login.jwt))
        name = f"ringcx-{hashlib.sha256(who.encode()).hexdigest()[:16]}.json"
        self._shelf = shelf or TokenCache(directory() / name, say)
        self._secrets = {login.client_secret, login.jwt}
        self._http = httpx.Client(timeout=timeout, follow_redirects=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, request: Request) -> Any:
        """Send a request, logged in; returns the answer's JSON, or its text where it is none."""
        if request.body and request.body.get("secret"):
            self._secrets.add(str(request.body["secret"]))
        access, kept = self._access()
        answer = self._send_as(access, request)
        if answer.status_code == HTTPStatus.UNAUTHORIZED and kept:  # it ended earlier than it should have
            access, _ = self._access(instead_of=access)
            answer = self._send_as(access, request)
        self._check(answer, "RingCX", request.means)
        try:
            return answer.json()
        except ValueError:
            return answer.text

    def _send_as(self, access: str, request: Request) -> httpx.Response:
        headers = {"Authorization": f"Bearer {access}"}
        url = self._servers.ringcx + request.path
        return self._ask(request.method, url, headers=headers, json=request.body)

    def _access(self, instead_of: str = "") -> tuple[str, bool]:
        """A token of RingCX, and whether it was there already; ``instead_of`` is one that it refused."""
        with self._shelf.open() as kept:
            if kept.fresh(self._shelf.now()) and kept.access != instead_of:
                self._secrets |= {kept.access, kept.refresh}
                return kept.access, True
            kept.access = ""
            if not (kept.refresh and self._refresh(kept)):
                self._log_in(kept)
            return kept.access, False

    def _refresh(self, kept: Kept) -> bool:
        """Whether the refresh token was good for another access token."""
        self._take_turn(kept)
        began = self._shelf.now()
        form = {"refresh_token": kept.refresh}
        answer = self._ask("POST", f"{self._servers.ringcx}/api/auth/token/refresh", data=form)
        kept.refresh = ""  # it is good once; the answer brings the next
        if HTTPStatus.BAD_REQUEST <= answer.status_code < HTTPStatus.TOO_MANY_REQUESTS:
            return False  # too old: log in
        self._store(kept, answer, began)
        return True

    def _log_in(self, kept: Kept) -> None:
        login = self._login
        self._take_turn(kept)
        began = self._shelf.now()
        answer = self._ask(
            "POST",
            f"{self._servers.login}/restapi/oauth/token",
            auth=(login.client_id, login.client_secret),
            data={"grant_type": GRANT, "assertion": login.jwt},
        )
        refused = "it does not accept the login: check RC_APP_CLIENT_ID, RC_APP_CLIENT_SECRET and RC_USER_JWT"
        self._check(answer, "RingCentral", {400: refused, 401: refused})
        token = self._token(answer, "RingCentral", "access_token")
        answer = self._ask(
            "POST",
            f"{self._servers.ringcx}/api/auth/login/rc/accesstoken",
            params={"includeRefresh": "true"},
            data={"rcAccessToken": token, "rcTokenType": "Bearer"},
        )
        self._store(kept, answer, began)

    def _store(self, kept: Kept, answer: httpx.Response, began: float) -> None:
        no_access = "it lets this user not in: the JWT must be of a user who is also one of RingCX"
        self._check(answer, "RingCX's login", {401: no_access, 403: no_access})
        kept.access = self._token(answer, "RingCX's login", "accessToken")
        kept.expires = began + LIFE
        kept.refresh = str(answer.json().get("refreshToken") or "")
        self._secrets.add(kept.refresh)

    def _take_turn(self, kept: Kept) -> None:
        """Wait until RingCX hands out another token, and count it."""
        wait = kept.wait(self._shelf.now())
        if wait > 0:
            self._say(f"RingCX allows {LOGINS} logins a minute: waiting {wait:.0f} s")
            self._sleep(wait)
        kept.asked.append(self._shelf.now())

    def _token(self, answer: httpx.Response, who: str, name: str) -> str:
        try:
            token = answer.json()[name]
        except (ValueError, KeyError, TypeError):
            token = None
        if not isinstance(token, str) or not token:
            raise PlatformError(f"{who} answers without {name}: is the server's address right?")
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
            raise PlatformError(f"{server} does not answer within {self._timeout:g} s{_doubt(method)}") from None
        except httpx.ConnectError as error:
            raise PlatformError(f"{server} cannot be reached: {self._clean(str(error))}") from None
        except httpx.HTTPError as error:  # it hung up, or spoke no HTTP
            raise PlatformError(f"{server} broke off: {self._clean(str(error))}{_doubt(method)}") from None

    def _check(self, answer: httpx.Response, who: str, means: Mapping[int, str]) -> None:
        """Raise `PlatformError` unless the answer is 200, the only status that is declared."""
        status = answer.status_code
        if status == HTTPStatus.OK:
            return
        said = self._said(answer)
        if status in means:
            text = means[status]
        elif status == HTTPStatus.TOO_MANY_REQUESTS:
            after = answer.headers.get("Retry-After", "")
            text = f"too many requests: try again in {after if after.isdecimal() else '60'} s"
        elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            text = f"it has a problem of its own: try again later{_doubt(answer.request.method)}"
        elif answer.is_redirect:
            text = (
                f"it sends us to {self._clean(answer.headers['Location'])}: give that server's address, if it is right"
            )
        else:
            text = "it does not take the request"
        raise PlatformError(f"{who} answers {status}: {text}" + (f"\nit says: {said}" if said else ""), status)

    def _said(self, answer: httpx.Response) -> str:
        try:
            return self._clean(json.dumps(masked(answer.json())))
        except ValueError:
            return self._clean(answer.text)

    def _clean(self, text: str) -> str:
        """A server's words, fit to be shown: without secrets, on one line, not long."""
        for secret in sorted(self._secrets - {""}, key=len, reverse=True):
            text = text.replace(secret, MASK)
        text = "".join(char if char.isprintable() else " " for char in text)
        return " ".join(text.split())[:SHOWN]


def check_server(address: str) -> None:
    """Raise `PlatformError` unless it is a base URL over TLS; plain HTTP only to this machine, for a test."""
    url = urlsplit(address)
    host = url.hostname or ""
    try:
        local = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        local = False
    if url.scheme not in ("https", "http") or not host or url.path or url.query:
        raise PlatformError(f"{address} is no server's address: write  https://HOST")
    if url.scheme == "http" and not local:
        raise PlatformError(f"{address} would get the login unencrypted: write  https://{url.netloc}")


def _doubt(method: str) -> str:
    if method in ("GET", "DELETE"):
        return ""
    return "; whether the change was made is not known: `flowcore profile get` tells"
