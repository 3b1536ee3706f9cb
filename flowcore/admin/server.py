"""The program of the admin process: ``python -m flowcore.admin.server CHANNEL PORT``, started by the run only."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from flowcore import open_files
from flowcore.admin.app import make_app
from flowcore.admin.call_history import CallHistory
from flowcore.admin.certificate import ReloadedCertificate
from flowcore.admin.command_runner import CommandRunner
from flowcore.admin.engine_client import EngineClient
from flowcore.admin.event_feed import MAX_READERS, EventFeed
from flowcore.admin.rejections import Rejections
from flowcore.admin.settings import AdminSettings, tokens
from flowcore.engine.slots import new_loop
from flowcore.workers.channel import Channel

MAX_CONNECTIONS: Final = MAX_READERS + 200
"""Connections at once: all readers of events, and others; further ones get 503."""
KEPT_FILES: Final = 50
"""File descriptors for all but connections."""
REQUEST_TIMEOUT: Final = 10.0
"""Seconds that a new connection has for its first request."""
NICENESS: Final = 5
"""Added to the niceness: calls go first when the cores are busy."""
END_TIMEOUT: Final = 1
"""Seconds that answers may take at the end."""


class Http(H11Protocol):
    """uvicorn's protocol, which by itself waits for the first request of a connection for ever."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.loop.call_later(REQUEST_TIMEOUT, self._check)

    def _check(self) -> None:
        if self.cycle is None:
            self.transport.abort()


class ErrorHandler(logging.Handler):
    """Reports errors of the server in one line each."""

    def __init__(self, report: Callable[[str], None]) -> None:
        super().__init__(logging.ERROR)
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        cause = record.exc_info[1] if record.exc_info else None
        self._report(f"{record.getMessage().strip().splitlines()[0]} {type(cause).__name__ if cause else ''}".strip())


async def serve(channel: Channel, listening: socket.socket, tokens: Mapping[str, str]) -> None:
    """Serve the API on ``listening`` until the other end of the channel is closed. ``tokens`` are known by name."""
    messages = channel.messages()
    job = await anext(messages)
    settings = AdminSettings(**job["settings"])

    def on_rejected(reason: str, address: str, clients: int) -> None:
        channel.send({"rejected": [reason, address, clients]})

    def on_command(fields: Mapping[str, Any]) -> None:
        channel.send({"command": fields})

    def on_failed(text: str) -> None:
        channel.send({"failed": text})

    errors = ErrorHandler(on_failed)
    logging.getLogger().addHandler(errors)
    rejections = Rejections(on_rejected)
    feed = EventFeed(on_dropped=lambda: rejections.add("slow_reader", ""))
    engine, commands = EngineClient(Path(job["control"])), CommandRunner(Path(job["control"]), on_command)
    history = CallHistory(job["call_log"])
    app = make_app(settings, tokens, engine, commands, feed, history, job["graph"], rejections.add)
    certificate = ReloadedCertificate(Path(settings.cert), Path(settings.key), on_failed) if settings.cert else None
    config = uvicorn.Config(
        app,
        http=Http,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=logging.ERROR,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=min(MAX_CONNECTIONS, open_files.room().limit - KEPT_FILES),
        timeout_graceful_shutdown=END_TIMEOUT,
        ssl_context_factory=None if certificate is None else lambda *_: certificate.context,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    watching = [asyncio.create_task(rejections.watch())]
    if certificate is not None:
        watching.append(asyncio.create_task(certificate.watch()))
    try:
        await _take(messages, app, feed)
    finally:
        logging.getLogger().removeHandler(errors)
        for task in watching:
            task.cancel()
        feed.end()
        server.should_exit = True
        with suppress(TimeoutError):
            await asyncio.wait_for(serving, 2 * END_TIMEOUT)
        engine.close()
        commands.close()
        history.close()
        app.state.tap_threads.shutdown(wait=False)


async def _take(messages: AsyncIterator[Mapping[str, Any]], app: FastAPI, feed: EventFeed) -> None:
    async for message in messages:
        if "graph" in message:
            app.state.graph = message["graph"]
        else:
            feed.publish(message["event"], message["missed"])


async def _main(channel: int, port: int) -> None:
    opened = await Channel.open(socket.socket(fileno=channel))
    try:
        await serve(opened, socket.socket(fileno=port), tokens())
    except Exception as error:
        opened.send({"failed": f"{type(error).__name__}: {error}"})
        raise
    finally:
        opened.close()
        await opened.wait_closed()


if __name__ == "__main__":
    # A terminal and a service manager signal all processes of a run; this one ends with the process of the run.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    with suppress(OSError):  # where system calls are filtered
        os.nice(NICENESS)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_main(int(sys.argv[1]), int(sys.argv[2])))
