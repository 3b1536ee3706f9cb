"""Fake of RingCentral's login and of RingCX's streaming profiles, as documented, over real HTTP on this machine.

    python tools/fake_platform.py [--port 8099]

prints the settings with which `flowcore profile` uses the fake. It has one login and any number of profiles. Tokens
live for 5 minutes ("Jwt is expired"), at most 5 a minute are issued, addresses are checked, valid requests get 200 and
a body (a plain string for DELETE), and secrets are shown in clear text, as by the real platform. Tests use
`FakePlatform`, whose clock they can advance and whose answers they can script.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import re
import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

CLIENT, CLIENT_SECRET, JWT = "app-of-a-test", "client-secret-5f1c", "eyJhbGciOiJub25lIn0.jwt-of-a-test.c2ln"
TOKEN_LIFETIME = 300.0
"""Seconds."""
TOKENS_PER_MINUTE = 5
ADDRESS = re.compile(
    r"(wss://(?:(?:\d{1,3}\.){3}\d{1,3}|[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*)(?::\d{1,5})?)?"
)
PROFILE = re.compile(r"/platform/api/media/product/account/([^/]+)/type/(QUEUE|CAMPAIGN)/id/(\d+)")
CREATE = ("productType", "productId", "subAccountId", "mainAccountId", "rcAccountId", "streamingUrl")
UPDATE = ("productType", "productId", "subAccountId", "streamingUrl")


@dataclass
class Answer:
    """An answer: JSON, or plain text."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    silent: threading.Event | None = None
    """If set, the request waits for the event and then gets no answer."""


@dataclass(frozen=True)
class Request:
    """A request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: str


class FakePlatform:
    """Serve at ``url``, which stands for both servers, for the length of a ``with`` block."""

    def __init__(self, port: int = 0) -> None:
        self.profiles: dict[tuple[str, str, int], dict[str, Any]] = {}
        self.seen: list[Request] = []
        self.answered: list[Answer] = []
        self.next: deque[Answer] = deque()
        """Answers to the next requests for profiles, instead of the correct ones."""
        self.next_login: deque[Answer] = deque()
        """The same for requests of a token, of either server."""
        self.ahead = 0.0
        """Seconds by which its clock is ahead."""
        self._valid: dict[str, float] = {}
        self._refresh: set[str] = set()
        self._asked: list[float] = []
        self._lock = threading.Lock()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                fake._handle(self)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815  # http.server's names

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> FakePlatform:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        for answer in (*self.next, *self.next_login, *self.answered):
            if answer.silent:
                answer.silent.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment variables of `flowcore profile`."""
        return {
            "RC_APP_CLIENT_ID": CLIENT,
            "RC_APP_CLIENT_SECRET": CLIENT_SECRET,
            "RC_USER_JWT": JWT,
            "RC_SERVER_URL": self.url,
            "RINGCX_SERVER": self.url,
            "RINGCX_SUB_ACCOUNT": "99990001",
            "RINGCX_MAIN_ACCOUNT": "99990000",
            "RINGCX_RC_ACCOUNT": "123456789",
        }

    def now(self) -> float:
        return time.monotonic() + self.ahead

    def expire(self) -> None:
        """Expire all tokens of RingCX now."""
        self._valid.clear()

    def count(self, path: str) -> int:
        """Return the number of requests whose path begins with ``path``."""
        return sum(seen.path.startswith(path) for seen in self.seen)

    def _handle(self, http: BaseHTTPRequestHandler) -> None:
        body = http.rfile.read(int(http.headers.get("Content-Length") or 0)).decode()
        request = Request(http.command, http.path, {name.lower(): value for name, value in http.headers.items()}, body)
        with self._lock:
            self.seen.append(request)
            answer = self._answer(request)
            self.answered.append(answer)
        if answer.silent is not None:
            answer.silent.wait()
            http.close_connection = True
            return
        data = answer.body.encode() if isinstance(answer.body, str) else json.dumps(answer.body).encode()
        http.send_response(answer.status)
        http.send_header("Content-Type", "text/plain" if isinstance(answer.body, str) else "application/json")
        http.send_header("Content-Length", str(len(data)))
        for name, value in answer.headers.items():
            http.send_header(name, value)
        http.end_headers()
        http.wfile.write(data)

    def _answer(self, request: Request) -> Answer:
        path = urlsplit(request.path).path
        if path.startswith(("/restapi/", "/api/auth/")):
            return self.next_login.popleft() if self.next_login else self._login(path, request)
        if not path.startswith("/platform/api/media/product"):
            return Answer(404, {"status": 404, "error": "Not Found", "path": path})
        if self.next:
            return self.next.popleft()
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._valid.get(token, float("-inf")) <= self.now():
            return Answer(401, "Jwt is expired")
        return self._profile(path, request)

    def _login(self, path: str, request: Request) -> Answer:
        form = dict(parse_qsl(request.body))
        if path == "/restapi/oauth/token":
            basic = base64.b64encode(f"{CLIENT}:{CLIENT_SECRET}".encode()).decode()
            if request.headers.get("authorization") != f"Basic {basic}":
                return Answer(401, {"error": "invalid_client", "error_description": "Invalid client credentials"})
            if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
                return Answer(400, {"error": "unsupported_grant_type"})
            if form.get("assertion") != JWT:
                text = f"JWT {form.get('assertion')} is not valid"
                return Answer(400, {"error": "invalid_grant", "error_description": text})
            self._office = secrets.token_urlsafe(24)
            return Answer(body={"access_token": self._office, "token_type": "bearer", "expires_in": 3600})
        self._asked = [asked for asked in self._asked if self.now() - asked < 60]
        if len(self._asked) >= TOKENS_PER_MINUTE:
            return Answer(429, "Too many requests", {"Retry-After": "17"})
        self._asked.append(self.now())
        if path == "/api/auth/login/rc/accesstoken":
            if form.get("rcAccessToken") != getattr(self, "_office", None) or form.get("rcTokenType") != "Bearer":
                return Answer(401, "Unauthorized")
            refresh = dict(parse_qsl(urlsplit(request.path).query)).get("includeRefresh") == "true"
            return self._tokens(refresh)
        if path == "/api/auth/token/refresh":
            if form.get("refresh_token") not in self._refresh:
                return Answer(401, "Unauthorized")
            self._refresh.remove(form["refresh_token"])
            return self._tokens(True)
        return Answer(404, "Not Found")

    def _tokens(self, refresh: bool) -> Answer:
        access = secrets.token_urlsafe(24)
        self._valid[access] = self.now() + TOKEN_LIFETIME
        answer: dict[str, Any] = {"refreshToken": None, "accessToken": access, "tokenType": "Bearer", "adminId": 1111}
        if refresh:
            answer["refreshToken"] = secrets.token_urlsafe(24)
            self._refresh.add(answer["refreshToken"])
        return Answer(body=answer)

    def _profile(self, path: str, request: Request) -> Answer:
        if request.method in ("GET", "DELETE"):
            match = PROFILE.fullmatch(path)
            key = (unquote(match[1]), match[2], int(match[3])) if match else None
            if key not in self.profiles:
                return Answer(404, {"status": 404, "error": "Not Found"})
            if request.method == "GET":
                return Answer(body=self.profiles[key])
            del self.profiles[key]
            return Answer(body="Product deleted")
        try:
            body = json.loads(request.body)
            required = CREATE if request.method == "POST" else UPDATE
            valid = (
                path == "/platform/api/media/product"
                and all(name in body for name in required)
                and body["productType"] in ("QUEUE", "CAMPAIGN")
                and type(body["productId"]) is int
                and all(type(body.get(name, "")) is str for name in (*CREATE[2:], "secret"))
                and ADDRESS.fullmatch(body["streamingUrl"])
            )
        except (ValueError, TypeError):
            valid = False
        if not valid:
            return Answer(400, {"status": 400, "error": "Bad Request"})
        key = (body["subAccountId"], body["productType"], body["productId"])
        if request.method == "PUT" and key not in self.profiles:
            return Answer(404, {"status": 404, "error": "Not Found"})
        self.profiles[key] = self.profiles.get(key, {}) | body
        return Answer(body=self.profiles[key])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="RingCX's REST API for streaming profiles, on this machine.")
    parser.add_argument("--port", type=int, default=8099, help="where to listen (default 8099)")
    with FakePlatform(parser.parse_args().port) as fake:
        for name, value in fake.environment.items():
            print(f"export {name}={value}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
