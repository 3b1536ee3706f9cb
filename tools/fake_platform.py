"""Fake of RingCentral's login and of RingCX's REST API, as documented, over real HTTP on this machine.

    python tools/fake_platform.py [--port 8099] [--dialog s-v-1]

prints the settings with which `flowcore profile`, `flowcore stream` and `flowcore who` use the fake. It has one login,
any number of streaming profiles, and the dialogs and calls that it is given. Tokens live for 5 minutes ("Jwt is
expired"), at most 5 a minute are issued, addresses are checked, valid requests get 200 and a body (a plain string for
DELETE), and secrets are shown in clear text, as by the real platform. At most 120 control requests a minute are
answered, and at most 3 reports a minute and 9 in 15 minutes; a stream is started once, in a running dialog of this
account, and stopped once; a report covers at most 3 hours, up to 5 minutes ago. Tests use `FakePlatform`, whose clock
they can advance and whose answers they can script.
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
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

CLIENT, CLIENT_SECRET, JWT = "app-of-a-test", "client-secret-5f1c", "eyJhbGciOiJub25lIn0.jwt-of-a-test.c2ln"
TOKEN_LIFETIME = 300.0
"""Seconds."""
TOKENS_PER_MINUTE = 5
ADDRESS = re.compile(
    r"(wss://(?:(?:\d{1,3}\.){3}\d{1,3}|[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*)(?::\d{1,5})?)?"
)
PROFILE = re.compile(r"/platform/api/media/product/account/([^/]+)/type/(QUEUE|CAMPAIGN)/id/(\d+)")
CONTROLS_PER_MINUTE = 120
REPORTS = ((3, 60.0), (9, 900.0))
MAX_REPORT, REPORT_DELAY = 10_800, 300.0
RC_ACCOUNT, SUB_ACCOUNT = "123456789", "99990001"
STREAMS = re.compile(
    r"/voice/api/cx/integration/v1/accounts/([^/]+)/sub-accounts/([^/]+)/dialogs/([^/]+)(?:/segments/([^/]+))?"
    r"/streams(?:/([^/]+))?"
)
INTERACTIONS = re.compile(r"/voice/api/cx/integration/v2/accounts/([^/]+)/sub-accounts/([^/]+)/interaction-metadata")
ACTIVE_CALL = re.compile(r"/voice/api/v1/admin/accounts/([^/]+)/activeCalls/([^/]+)/toggleCall(Recording|Hold)")
NOT_FOUND = {"status": 404, "error": "Not Found"}
ACCESS_DENIED = {
    "errorCode": "access.denied.exception",
    "generalMessage": "You do not have permission to access this resource",
}
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
        self.dialogs: dict[str, set[str]] = {}
        """The running dialogs, with the ids of their segments."""
        self.streams: dict[tuple[str, str, str], dict[str, Any]] = {}
        """The bodies that started the streams, by dialog, segment (or nothing) and stream."""
        self.interactions: list[dict[str, Any]] = []
        """The segments of finished calls, with ``segmentEndTimeMs``."""
        self.calls: dict[str, dict[str, bool]] = {}
        """The running calls by UII, with their switches Recording and Hold."""
        self.seen: list[Request] = []
        self.answered: list[Answer] = []
        self.next: deque[Answer] = deque()
        """Answers to the next requests of the API, instead of the correct ones."""
        self.next_login: deque[Answer] = deque()
        """The same for requests of a token, of either server."""
        self.ahead = 0.0
        """Seconds by which its clock is ahead."""
        self._valid: dict[str, float] = {}
        self._refresh: set[str] = set()
        self._asked: list[float] = []
        self._controls: list[float] = []
        self._reports: list[float] = []
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
        """Return the environment variables of `flowcore profile`, `flowcore stream` and `flowcore who`."""
        return {
            "RC_APP_CLIENT_ID": CLIENT,
            "RC_APP_CLIENT_SECRET": CLIENT_SECRET,
            "RC_USER_JWT": JWT,
            "RC_SERVER_URL": self.url,
            "RINGCX_SERVER": self.url,
            "RINGCX_SUB_ACCOUNT": SUB_ACCOUNT,
            "RINGCX_MAIN_ACCOUNT": "99990000",
            "RINGCX_RC_ACCOUNT": RC_ACCOUNT,
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
        if not path.startswith(("/platform/api/media/product", "/voice/api/")):
            return Answer(404, NOT_FOUND | {"path": path})
        if self.next:
            return self.next.popleft()
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._valid.get(token, float("-inf")) <= self.now():
            return Answer(401, "Jwt is expired")
        return self._control(path, request) if path.startswith("/voice/") else self._profile(path, request)

    def _control(self, path: str, request: Request) -> Answer:
        if match := INTERACTIONS.fullmatch(path):
            return self._report(match[1], match[2], request)
        self._controls = [asked for asked in self._controls if self.now() - asked < 60]
        if len(self._controls) >= CONTROLS_PER_MINUTE:
            return Answer(429, "Too many requests", {"Retry-After": "23"})
        self._controls.append(self.now())
        if match := STREAMS.fullmatch(path):
            return self._stream(*(unquote(part or "") for part in match.groups()), request)
        match = ACTIVE_CALL.fullmatch(path)
        if not match or request.method != "POST":
            return Answer(404, NOT_FOUND)
        account, uii, switch = match[1], match[2], match[3]
        query = dict(parse_qsl(urlsplit(request.path).query))
        state = {
            "Recording": {"record=true": True, "record=false": False},
            "Hold": {"state=ON": True, "state=OFF": False},
        }
        on = state[switch].get("&".join(f"{name}={value}" for name, value in query.items()))
        if account != SUB_ACCOUNT:
            return Answer(403, ACCESS_DENIED)
        if uii not in self.calls:
            return Answer(404, NOT_FOUND)
        if on is None:
            return Answer(400, {"status": 400, "error": "Bad Request"})
        self.calls[uii][switch] = on
        return Answer(body=True)

    def _report(self, account: str, sub_account: str, request: Request) -> Answer:
        now = self.now()
        for count, window in REPORTS:
            if sum(now - asked < window for asked in self._reports) >= count:
                return Answer(429, "Too many requests", {"Retry-After": f"{window:.0f}"})
        self._reports.append(now)
        if (account, sub_account) != (RC_ACCOUNT, SUB_ACCOUNT):
            return Answer(403, ACCESS_DENIED)
        try:
            body = json.loads(request.body)
            zone = ZoneInfo(body["timeZone"])
            start = datetime.strptime(body["segmentEndTime"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=zone).timestamp()
            end = start + body["timeInterval"]
            valid = type(body["timeInterval"]) is int and start < end <= start + MAX_REPORT
        except (ValueError, TypeError, KeyError, ZoneInfoNotFoundError):
            valid = False
        if request.method != "POST" or not valid or end > time.time() + self.ahead - REPORT_DELAY:
            return Answer(400, {"status": 400, "error": "Bad Request"})
        ended = [datetime.fromisoformat(row["segmentEndTimeMs"]).timestamp() for row in self.interactions]
        return Answer(body=[row for row, at in zip(self.interactions, ended, strict=True) if start <= at < end])

    def _stream(
        self, account: str, sub_account: str, dialog: str, segment: str, stream: str, request: Request
    ) -> Answer:
        if (account, sub_account) != (RC_ACCOUNT, SUB_ACCOUNT):
            return Answer(403, ACCESS_DENIED)
        if dialog not in self.dialogs or (segment and segment not in self.dialogs[dialog]):
            return Answer(404, NOT_FOUND)
        if stream and request.method == "DELETE":
            return Answer(body="") if self.streams.pop((dialog, segment, stream), None) else Answer(404, NOT_FOUND)
        if stream or request.method != "POST":
            return Answer(405, {"status": 405, "error": "Method Not Allowed"})
        try:
            body = json.loads(request.body)
            names = {"url": str, "streamId": str, "token": str, "properties": dict}
            valid = all(type(body[name]) is kind for name, kind in names.items() if name in body)
            valid = valid and bool(body.get("url") and body.get("streamId"))
        except (ValueError, TypeError, AttributeError):
            valid = False
        if not valid:
            return Answer(400, {"status": 400, "error": "Bad Request"})
        key = (dialog, segment, body["streamId"])
        if key in self.streams:
            return Answer(409, {"status": 409, "error": "Conflict"})
        self.streams[key] = body
        return Answer(body="")

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
                return Answer(404, NOT_FOUND)
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
            return Answer(404, NOT_FOUND)
        self.profiles[key] = self.profiles.get(key, {}) | body
        return Answer(body=self.profiles[key])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="RingCX's REST API, on this machine.")
    parser.add_argument("--port", type=int, default=8099, help="where to listen (default 8099)")
    parser.add_argument("--dialog", action="append", default=[], help="the id of a running dialog; may be repeated")
    options = parser.parse_args()
    with FakePlatform(options.port) as fake:
        fake.dialogs |= {dialog: set() for dialog in options.dialog}
        for name, value in fake.environment.items():
            print(f"export {name}={value}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
