"""The control hub: one local socket that answers for a running flowcore and all of its workers.

A client sends a request as one line of JSON, ``{"ask": "calls"}``, and gets one line from each *handler* (the process
itself, or each of its workers), ``{"worker": 1, "answer": [...]}``, then ``{"done": true, "missing": []}`` with the
workers that gave no answer in time. A wrong request is answered ``{"error": "..."}``. One connection may ask often.

Requests never enter the audio's path: a handler answers in a thread beside its event loop, from state it holds anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import json
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from flowcore.control.address import finishing_path, is_stale
from flowcore.control.handler import ControlHandler, ask_all
from flowcore.errors import CannotStart

MAX_CLIENTS = 16
"""Clients connected at once."""
MAX_REQUEST = 64 * 1024
"""Bytes of one request."""
ACCEPT_RETRY = 1.0
"""Seconds without accepting after the process had no file descriptor left."""
READ_TIMEOUT = 5.0
"""Seconds that a client may leave an answer unread."""


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Conversation = Callable[[socket.socket, Streams, Mapping[str, Any]], Awaitable[None]]
"""Takes a connection over from its first request on; its socket too, to pass descriptors."""
Command = Callable[[Mapping[str, Any]], Any]
"""Answers a request in the event loop, at once or with an awaitable."""


class Hub:
    """Listens at ``path`` and asks its ``handlers``, which are known by worker number. Only this user can connect.

    ``commands`` are requests that the process answers itself, as worker 0; ``conversations`` take the connection over.
    A request with ``"only": 2`` is for that handler alone.
    """

    def __init__(self, path: Path) -> None:
        """Bind the path. Raises `CannotStart`."""
        self.path = path
        self.handlers: Mapping[int, ControlHandler] = {}
        self.commands: Mapping[str, Command] = {}
        self.conversations: Mapping[str, Conversation] = {}
        self._listening = _listen(path)
        self._inode = path.stat().st_ino
        self._clients: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._watch(asyncio.get_running_loop())

    async def close(self) -> None:
        """Disconnect all clients and remove the socket."""
        asyncio.get_running_loop().remove_reader(self._listening)
        clients = tuple(self._clients)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        self._listening.close()
        with contextlib.suppress(OSError):
            if self.path.stat().st_ino == self._inode:  # not that of another process
                self.path.unlink()

    def step_aside(self, *, replaced: bool) -> None:
        """Go on at another path, because the process that has taken over is to be found at the usual one.

        ``replaced`` says that the other process puts its socket at this path.
        """
        path = finishing_path(self.path)
        try:
            path.unlink(missing_ok=True)
            os.link(self.path, path)
            if not replaced:
                self.path.unlink()
        except OSError:  # somebody removed the socket: then it is found through the other process only
            return
        self.path = path

    def move(self, path: Path) -> None:
        """Take the place of the socket at ``path``, of a process that has stepped aside or is dead."""
        self.path = self.path.rename(path)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._listening.fileno() >= 0:  # not closed meanwhile
            loop.add_reader(self._listening, self._accept, loop)

    def _accept(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve a client in a task of its own. A callback loses no accepted client, as a cancelled coroutine would."""
        try:
            connection, _ = self._listening.accept()
        except BlockingIOError:  # the client left
            return
        except OSError:  # too many open files
            loop.remove_reader(self._listening)
            loop.call_later(ACCEPT_RETRY, self._watch, loop)
            return
        if len(self._clients) >= MAX_CLIENTS:
            connection.close()
            return
        connection.setblocking(False)
        client = loop.create_task(self._serve(connection))
        self._clients.add(client)
        client.add_done_callback(self._clients.discard)
        client.add_done_callback(functools.partial(_close, connection))  # also if it never ran

    async def _serve(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=connection, limit=MAX_REQUEST)
        try:
            while line := await reader.readline():
                request = _request(line)
                if request and (converse := self.conversations.get(request["ask"])):
                    await converse(connection, (reader, writer), request)
                    break
                for reply in await self._replies(request):
                    writer.write(msgspec.json.encode(reply) + b"\n")
                await asyncio.wait_for(writer.drain(), READ_TIMEOUT)
        except (OSError, TimeoutError, ValueError):  # the client left, does not read, or sends an endless line
            pass
        except asyncio.CancelledError:
            writer.transport.abort()  # drops what the client left unread
            raise
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _replies(self, request: dict[str, Any] | None) -> list[dict[str, Any]]:
        if request is None:
            return [{"error": 'a request is one line of JSON, like {"ask": "calls"}'}]
        only = request.pop("only", None)
        if only is None and (command := self.commands.get(request["ask"])):
            answer = command(request)
            if inspect.isawaitable(answer):
                answer = await answer
            return [{"worker": 0, "answer": answer}, {"done": True, "missing": []}]
        try:
            asked = {number: one for number, one in self.handlers.items() if only in (None, number)}
            answers, missing = await ask_all(asked, request)
        except LookupError:
            return [{"error": f"nothing is known of {request['ask']!r}: the running graph has no such node"}]
        replies: list[dict[str, Any]] = [{"worker": number, "answer": one} for number, one in answers.items()]
        return [*replies, {"done": True, "missing": missing}]


def _request(line: bytes) -> dict[str, Any] | None:
    """Return the request of a line; None for a wrong one."""
    try:
        request = json.loads(line)
    except ValueError:
        return None
    return request if isinstance(request, dict) and isinstance(request.get("ask"), str) else None


def _close(connection: socket.socket, _: asyncio.Task[None]) -> None:
    connection.close()


def _listen(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)  # so that no other user can connect, not even at first
    try:
        if is_stale(path):
            path.unlink()
        listening.bind(str(path))
        listening.listen(MAX_CLIENTS)
    except OSError as error:
        listening.close()
        raise CannotStart(f"cannot listen at {path}: {error.strerror or error}; give --control another path") from error
    finally:
        os.umask(mask)
    listening.setblocking(False)
    return listening
