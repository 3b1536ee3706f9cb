"""The admin API in a thread of the test: its own event loop, real sockets, real uvicorn."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from flowcore.admin.description import describe
from flowcore.admin.server import serve
from flowcore.admin.settings import ADMIN, AdminSettings
from flowcore.engine.sockets import listen
from flowcore.graph.load import load
from flowcore.graph.negotiate import compile_graph
from flowcore.workers.channel import Channel
from tests.support.live import PATIENCE, ROOT

RECORD = ROOT / "graphs" / "record.yaml"
SECRET = "t0ken-MARKER-4711-of-32-characters"


class Api:
    """A client of the API at ``url``, with the right token; and the run's end of the channel."""

    def __init__(self, url: str, channel: socket.socket, token: str, verify: Any = True) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.url = url
        self.client = httpx.Client(base_url=url, headers=headers, timeout=PATIENCE, trust_env=False, verify=verify)
        self._channel = channel
        self._messages = channel.makefile("rb")

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.client.get(path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.client.post(path, **options)

    def send(self, **message: Any) -> None:
        """Send a message as the process of the run does."""
        self._channel.sendall(json.dumps(message).encode() + b"\n")

    def emit(self, name: str, missed: int = 0, **fields: Any) -> None:
        """Pass on an event."""
        self.send(event={"event": name, "level": "info", **fields}, missed=missed)

    def reported(self) -> dict[str, Any]:
        """The next message to the process of the run."""
        return json.loads(self._messages.readline())


@contextmanager
def api(control: Path, token: str = "", graph: Path = RECORD, **settings: Any) -> Iterator[Api]:
    """Serve the API of the run whose hub is at ``control``; ``described`` replaces what it knows of the graph.

    The client has the ``token``, which is also that of the run, unless ``tokens`` are given.
    """
    tokens = settings.pop("tokens", {ADMIN: token} if token else {})
    verify = settings.pop("verify", True)
    call_log = settings.pop("call_log", "")
    described = settings.pop("described", describe(compile_graph(load(graph))))
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    listening = listen("127.0.0.1", 0)
    chosen = AdminSettings("127.0.0.1", 0, **settings)
    url = f"{chosen.scheme}://127.0.0.1:{listening.getsockname()[1]}"

    async def main() -> None:
        channel = await Channel.open(theirs)
        await serve(channel, listening, tokens)
        channel.close()
        await channel.wait_closed()

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="admin-api")
    thread.start()
    opened = Api(url, ours, token, verify)
    try:
        opened.send(settings=vars(chosen), control=str(control), call_log=str(call_log), graph=described)
        yield opened
    finally:
        opened.client.close()
        opened._messages.close()
        ours.close()
        thread.join(PATIENCE)
        assert not thread.is_alive()
