"""Calls whose words a test decides, and their page in a real Chromium."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from websockets.sync.client import connect

from flowcore import Text
from tests.support.live import PATIENCE, Live
from tests.support.phone import Phone

SPOKEN = Path(__file__).parents[1] / "nodes" / "captions" / "spoken.py"
CHROMIUM = shutil.which("chromium")


@contextmanager
def browser() -> Iterator[Any]:
    """A real Chromium without a window. Without one the test fails: a page that was never seen is not tested."""
    if CHROMIUM is None:
        pytest.fail("there is no chromium: `make debs` as root, or apt-get install chromium", pytrace=False)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM)
        try:
            yield opened
        finally:
            opened.close()


class Talk(Phone):
    """One session of a call, whose parties say what the test says."""

    def __init__(self, url: str, call: str, **attributes: str) -> None:
        super().__init__(url, call, **attributes)
        self.utterance = 0
        self.start()

    def words(self, track: str, start: float, text: str, *, final: bool = True, **more: Any) -> None:
        """A text of the utterance that is open, with ``more`` of its fields; a final one closes it."""
        spoken = Text(track, start, start + 1.0, text, final, self.utterance, **more)
        self.say(self.sender.media(track, msgspec.json.encode(spoken)))
        self.utterance += final


@contextmanager
def stage(folder: Path, settings: str = "", *, port: int = 0, call: str = "", **options: Any) -> Iterator[Live]:
    """An engine that takes such calls and shows them: ``settings`` of the node captions, ``call`` of ringcx."""
    graph = folder / "stage.yaml"
    graph.write_text(
        f"flowcore: 1\nimport: [{SPOKEN.name}]\nnodes:\n"
        f"  call: {{use: ringcx, with: {{port: 0, {call}}}}}\n"
        "  words: {use: spoken, from: call}\n"
        f"  page: {{use: captions, from: words, with: {{{settings}}}}}\n"
    )
    shutil.copy(SPOKEN, folder)
    with Live(str(graph.with_suffix("")), [f"call.port={port}"], **options) as live:
        yield live


def address(live: Live, query: str = "", host: str = "127.0.0.1") -> str:
    """The page's address."""
    secure = "s" if live.url.startswith("wss") else ""
    return f"http{secure}://{host}:{live.url.rstrip('/').rpartition(':')[2]}/client{query}"


@contextmanager
def desktop(frame: str) -> Iterator[str]:
    """The address of a page of another origin that holds the page in an iFrame."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"<!doctype html><title>desk</title><h3>Agent desktop</h3><iframe id=f src='{frame}'></iframe>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def shown(live: Live, name: str, last: str = "ready") -> tuple[str, list[dict[str, Any]]]:
    """The state and the texts of a page for a call of this name, once its feed says ``last``: an event or a state."""
    feed = address(live, "", "127.0.0.1").replace("http", "ws", 1).replace("/client", "/client-ws")
    state, texts = "", {}
    with connect(f"{feed}?{urlencode({'callId': name})}") as page:
        while True:
            message = json.loads(page.recv(timeout=PATIENCE))
            if message["event"] == "state":
                state = message["state"]
            elif message["event"] == "text":
                texts[message["id"]] = message
            if last in (message["event"], message.get("state")):
                return state, list(texts.values())


FEED = (
    b"GET /client-ws?callId=%s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
"""What a browser asks for a feed."""


def frames(data: bytes) -> Iterator[bytes]:
    """The messages in whole frames of a server; pings and their like are left out."""
    at = 0
    while at < len(data):
        length, body = data[at + 1], at + 2
        if length == 126:
            length, body = int.from_bytes(data[body : body + 2], "big"), body + 2
        elif length == 127:
            length, body = int.from_bytes(data[body : body + 8], "big"), body + 8
        if data[at] == 0x81:
            yield data[body : body + length]
        at = body + length
