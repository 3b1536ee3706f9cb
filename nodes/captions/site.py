"""The site with the captions page and its feed, which the graph's listener serves."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl

from websockets.http11 import Request

from flowcore import CannotStart, Refused
from flowcore.addresses import Address
from flowcore.call_ids import normalize_id
from flowcore.environment import worker_count
from nodes.captions.access import Mode, allows_key, allows_token, is_local
from nodes.captions.call_store import CallStore
from nodes.captions.feed import CaptionFeed
from nodes.captions.shared_calls import SharedCalls
from nodes.net.peer import Page, Peer, Route
from nodes.net.site import Site
from nodes.ringcx.messages import attributes

PAGE = "/client"
FEED = "/client-ws"
TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?")  # as a policy can name it: it has no form for an IPv6 address
ANSWER_TIMEOUT = 1.0  # seconds in which the other workers tell of their calls

CALL = "{{model.call.uii}}"  # placeholder that RingCX's agent script replaces with the id of the call


@dataclass(unsafe_hash=True)
class CaptionsSite(Site):
    """Serves the page ``/client?callId=…`` and its feed ``/client-ws?callId=…``; sinks write to ``shared_calls``."""

    access: Mode
    secret: str = field(repr=False)
    ancestors: tuple[str, ...]
    keep: float
    viewers: int

    def __post_init__(self) -> None:
        self.shared_calls: SharedCalls
        self.served = False  # whether a listener serves this site
        self._calls = CallStore(self.keep)
        self._feeds_open = 0
        self._files: dict[str, bytes] = {}
        self._headers = {
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",  # the address contains the key
            "Cache-Control": "no-store",
        }

    def open(self) -> None:
        folder = files("nodes.captions")
        self.shared_calls = SharedCalls(self._calls, self.now, self.tell)
        self.shared_calls.ask()
        for name in ("client.html", "client.js", "client.css", "denied.html"):
            self._files[name] = (folder / name).read_bytes()

    def on_worker_message(self, worker: int, message: Any) -> None:
        self.shared_calls.on_worker_message(worker, message)

    def on_worker_exit(self, worker: int) -> None:
        self.shared_calls.on_worker_exit(worker)

    def routes(self) -> Mapping[str, Route]:
        self.served = True
        if worker_count() > 1:
            self._calls.complete_at = self.now() + ANSWER_TIMEOUT
        return {
            PAGE: self._page,
            f"{PAGE}.js": lambda request, caller: self._file(request, "client.js"),
            f"{PAGE}.css": lambda request, caller: self._file(request, "client.css"),
            FEED: self._feed,
        }

    def links(self) -> Mapping[str, str]:
        script = {"captions, for the agent script": f"{PAGE}?callId={CALL}"}
        if self.access == "off":
            return {"captions of the newest call": PAGE, **script}
        return {what: f"{path}&{self.access}=…" for what, path in script.items()}

    def expose(self) -> None:
        if self.access == "off":
            raise CannotStart(
                "captions without a secret are for this machine only, but other machines reach this port:"
                ' give them  secret: "${VIEWER_KEY}"  and set VIEWER_KEY to 16 characters or more'
            )

    def _page(self, request: Request, caller: Address) -> Page:
        if not self._is_allowed(request, caller):
            return self._file(request, "denied.html", HTTPStatus.FORBIDDEN)
        return self._file(request, "client.html")

    def _feed(self, request: Request, caller: Address) -> Page | Peer:
        if not self._is_allowed(request, caller):
            return self._file(request, "denied.html", HTTPStatus.FORBIDDEN)
        if self._feeds_open >= self.viewers:
            raise Refused("too many viewers", retry_after=5)
        self._calls.drop_ended(self.now())
        return CaptionFeed(self._calls, normalize_id(_query(request)["call_id"]), self._count_feeds)

    def _count_feeds(self, change: int) -> None:
        self._feeds_open += change

    def _is_allowed(self, request: Request, caller: Address) -> bool:
        query = _query(request)
        if self.access == "token":
            return allows_token(self.secret, query["call_id"], query["token"], time.time())
        if self.access == "key":
            # Without a call id the page shows the newest call, which may be another agent's.
            return bool(normalize_id(query["call_id"])) and allows_key(self.secret, query["key"])
        return caller.is_loopback and is_local(request.headers)

    def _file(self, request: Request, name: str, status: HTTPStatus = HTTPStatus.OK) -> Page:
        kind = TYPES[name.rpartition(".")[2]]
        policy = content_policy(request.headers.get_all("Host"), self.ancestors)
        headers = {"Content-Type": f"{kind}; charset=utf-8", "Content-Security-Policy": policy, **self._headers}
        return Page(status, self._files[name], headers)


def content_policy(hosts: Sequence[str], ancestors: Sequence[str]) -> str:
    """Return the page's Content-Security-Policy, for the values of the request's ``Host``.

    The feed has its full address in ``connect-src``: in Safari before 15.4, a WebSocket does not match ``'self'``.
    """
    feed = [f"{scheme}://{host}{FEED}" for host in hosts if HOST.fullmatch(host) for scheme in ("ws", "wss")]
    sources = {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["data:"],
        "connect-src": ["'self'", *feed],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'self'", *ancestors],
    }
    return "; ".join(" ".join((directive, *allowed)) for directive, allowed in sources.items())


def _query(request: Request) -> dict[str, Any]:
    """Return the query's token, key and any id of the call: ``callId`` (or ``uii``), ``dialogId`` or ``ani``."""
    query = parse_qsl(request.path.partition("?")[2])
    known = attributes(query, "query")
    named = (known.get(name) for name in ("call_id", "dialog_id", "ani"))
    return {"token": "", "key": "", **dict(query), "call_id": next(filter(None, named), "")}
