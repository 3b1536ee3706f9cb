"""The site with the captions page and its feed, which the graph's listener serves."""

from __future__ import annotations

import time
from collections.abc import Mapping
from http import HTTPStatus
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl

from websockets.http11 import Request

from flowcore import CannotStart, Refused
from nodes.captions.access import Mode, allows_key, allows_token, is_local
from nodes.captions.call_store import CallStore, normalize_call_id
from nodes.captions.feed import CaptionFeed
from nodes.captions.shared_calls import SharedCalls
from nodes.net.peer import Page, Peer, Route
from nodes.net.proxy_trust import Address
from nodes.net.site import Site
from nodes.ringcx.messages import attributes

PAGE = "/client"
FEED = "/client-ws"
TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css"}

CALL = "{{model.call.uii}}"
"""Placeholder that RingCX's agent script replaces with the id of the call."""


class CaptionsSite(Site):
    """Serves the page ``/client?callId=…`` and its feed ``/client-ws?callId=…``; sinks write to ``shared_calls``."""

    shared_calls: SharedCalls
    served = False
    """Whether a listener serves this site."""

    def __init__(self, access: Mode, secret: str, ancestors: tuple[str, ...], keep: float, viewers: int) -> None:
        self._calls = CallStore(keep)
        self._settings = (access, secret, ancestors, keep, viewers)
        self._access = access
        self._secret = secret
        self._viewers = viewers
        self._feeds_open = 0
        self._headers = _headers(ancestors)
        self._files: dict[str, bytes] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CaptionsSite) and other._settings == self._settings

    def __hash__(self) -> int:
        return hash(self._settings)

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
        return {
            PAGE: self._page,
            f"{PAGE}.js": lambda request, caller: self._file("client.js"),
            f"{PAGE}.css": lambda request, caller: self._file("client.css"),
            FEED: self._feed,
        }

    def links(self) -> Mapping[str, str]:
        script = {"captions, for the agent script": f"{PAGE}?callId={CALL}"}
        if self._access == "off":
            return {"captions of the newest call": PAGE, **script}
        return {what: f"{path}&{self._access}=…" for what, path in script.items()}

    def expose(self) -> None:
        if self._access == "off":
            raise CannotStart(
                "captions without a secret are for this machine only, but other machines reach this port:"
                ' give them  secret: "${VIEWER_KEY}"  and set VIEWER_KEY to 16 characters or more'
            )

    def _page(self, request: Request, caller: Address) -> Page:
        if not self._is_allowed(request, caller):
            return self._file("denied.html", HTTPStatus.FORBIDDEN)
        return self._file("client.html")

    def _feed(self, request: Request, caller: Address) -> Page | Peer:
        if not self._is_allowed(request, caller):
            return self._file("denied.html", HTTPStatus.FORBIDDEN)
        if self._feeds_open >= self._viewers:
            raise Refused("too many viewers", retry_after=5)
        self._calls.drop_ended(self.now())
        return CaptionFeed(
            self._calls, normalize_call_id(_query(request)["call_id"]), self._feed_opened, self._feed_closed
        )

    def _feed_opened(self) -> None:
        self._feeds_open += 1

    def _feed_closed(self) -> None:
        self._feeds_open -= 1

    def _is_allowed(self, request: Request, caller: Address) -> bool:
        query = _query(request)
        if self._access == "token":
            return allows_token(self._secret, query["call_id"], query["token"], time.time())
        if self._access == "key":
            # Without a call id the page shows the newest call, which may be another agent's.
            return bool(normalize_call_id(query["call_id"])) and allows_key(self._secret, query["key"])
        return caller.is_loopback and is_local(request.headers)

    def _file(self, name: str, status: HTTPStatus = HTTPStatus.OK) -> Page:
        kind = TYPES[name.rpartition(".")[2]]
        return Page(status, self._files[name], {"Content-Type": f"{kind}; charset=utf-8", **self._headers})


def _query(request: Request) -> dict[str, Any]:
    """Return the query's call id, token and key; ``callId``, ``call_id`` and ``uii`` are the same, as in RingCX."""
    query = parse_qsl(request.path.partition("?")[2])
    plain = dict(query)
    return {
        "call_id": attributes(query, "query").get("call_id", ""),
        "token": plain.get("token", ""),
        "key": plain.get("key", ""),
    }


def _headers(ancestors: tuple[str, ...]) -> dict[str, str]:
    policy = [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        " ".join(("frame-ancestors 'self'", *ancestors)),
    ]
    return {
        "Content-Security-Policy": "; ".join(policy),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",  # the address contains the key
        "Cache-Control": "no-store",
    }
