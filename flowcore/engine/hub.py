"""The hub: one local socket where a running flowcore can be asked what it holds, whichever worker holds it.

A client sends a request as one line of JSON, ``{"ask": "calls"}``, and gets one line from each *holder* (the process
itself, or each of its workers), ``{"worker": 1, "answer": [...]}``, then ``{"done": true, "missing": []}`` with the
workers that gave no answer in time. A wrong request is answered ``{"error": "..."}``. One connection may ask often.

Nothing of this is in the audio's path: a holder answers in a thread beside its event loop, from what it holds anyway.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from flowcore.engine.engine import Engine
from flowcore.errors import CannotStart, UsageError

ANSWER = 2.0
"""Seconds that a holder has to answer."""
CLIENTS = 16
"""Clients at once."""
REQUEST = 64 * 1024
"""Bytes of a request at most."""
LINGER = 5.0
"""Seconds that a client may leave an answer unread."""

Holder = Callable[[Mapping[str, Any]], Awaitable[Any]]
"""Answers a request; `LookupError` when it does not know what is asked for."""


# What a holder answers.


def answer(engine: Engine, request: Mapping[str, Any]) -> Any:
    """What this engine says to ``request``; from any thread. Raises `LookupError`."""
    return {"calls": calls}[request["ask"]](engine)


def calls(engine: Engine) -> list[dict[str, Any]]:
    """The live calls: flow, call id, beginning, state, audio dropped so far and now in queues (ms of their streams)."""
    return [
        {
            "flow": flow.id,
            "call_id": flow.session.attributes.get("call_id", ""),
            "since": flow.session.started.isoformat(timespec="seconds"),
            "state": flow.state,
            "dropped_ms": round(flow.lost() * 1000),
            "queue_ms": round(flow.queued() * 1000),
        }
        for flow in tuple(engine.flows.values())
    ]


def holder(engine: Engine) -> Holder:
    """The holder for an engine of this process."""

    async def ask(request: Mapping[str, Any]) -> Any:
        return await asyncio.to_thread(answer, engine, request)

    return ask


# The server's side.


class Hub:
    """Listens at ``path``; ``holders`` are asked by number. Only this user can connect."""

    def __init__(self, path: Path) -> None:
        """Take the path. Raises `CannotStart`."""
        self.path = path
        self.holders: dict[int, Holder] = {}
        self._listening = _listen(path)
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Answer from now on."""
        self._server = await asyncio.start_unix_server(self._serve, sock=self._listening, limit=REQUEST)

    async def close(self) -> None:
        """Hang up on all clients, and give the path back."""
        if self._server is not None:
            self._server.close()
        for client in tuple(self._clients):
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self._listening.close()
        self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._clients) >= CLIENTS:
            writer.close()
            return
        self._clients.add(task)
        try:
            while line := await reader.readline():
                for reply in await self._replies(line):
                    writer.write(json.dumps(reply).encode() + b"\n")
                await asyncio.wait_for(writer.drain(), LINGER)
        except (OSError, TimeoutError, ValueError):  # gone, not reading, or a line without end
            pass
        except asyncio.CancelledError:  # by close() only; Python 3.11 would print a traceback of it
            pass
        finally:
            self._clients.discard(task)
            writer.close()

    async def _replies(self, line: bytes) -> list[dict[str, Any]]:
        try:
            request = json.loads(line)
        except ValueError:
            request = None
        if not isinstance(request, dict) or not isinstance(request.get("ask"), str):
            return [{"error": 'a request is one line of JSON, like {"ask": "calls"}'}]
        asked = dict(self.holders)
        given = await asyncio.gather(
            *(asyncio.wait_for(ask(request), ANSWER) for ask in asked.values()), return_exceptions=True
        )
        if any(isinstance(one, LookupError) for one in given):
            return [{"error": f"nothing is known of {request['ask']!r}"}]
        replies = [
            {"worker": number, "answer": one}
            for number, one in zip(asked, given, strict=True)
            if not isinstance(one, BaseException)
        ]
        answered = {reply["worker"] for reply in replies}
        return [*replies, {"done": True, "missing": sorted(asked.keys() - answered)}]


def _listen(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)  # from its first moment on nobody else may connect
    try:
        if is_stale(path):
            path.unlink()
        listening.bind(str(path))
        listening.listen(CLIENTS)
    except OSError as error:
        listening.close()
        raise CannotStart(f"cannot listen at {path}: {error.strerror or error}; give --control another path") from error
    finally:
        os.umask(mask)
    listening.setblocking(False)
    return listening


# The client's side.


def ask(path: Path, request: Mapping[str, Any], timeout: float = ANSWER + LINGER) -> tuple[dict[int, Any], list[int]]:
    """Ask the hub at ``path``: the answers by worker, and the workers that gave none. Raises `UsageError`."""
    answers: dict[int, Any] = {}
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(timeout)
            client.connect(str(path))
            client.sendall(json.dumps(request).encode() + b"\n")
            for line in client.makefile("rb"):
                reply = json.loads(line)
                if "error" in reply:
                    raise UsageError(reply["error"])
                if "done" in reply:
                    return answers, reply["missing"]
                answers[reply["worker"]] = reply["answer"]
    except (OSError, ValueError) as error:
        raise UsageError(f"no answer at {path}: {getattr(error, 'strerror', None) or error}") from error
    raise UsageError(f"no answer at {path}: it hung up")


def is_stale(path: Path) -> bool:
    """Whether this is the socket of a process that is dead."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def directory() -> Path:
    """Where the sockets of this user's processes lie. Raises `CannotStart` when another user could get at them."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "flowcore" if runtime else Path(tempfile.gettempdir()) / f"flowcore-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise CannotStart(f"cannot make {folder}: {error.strerror}; give --control a path") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise CannotStart(f"{folder} is not this user's alone: remove it, or give --control a path")
    return folder


def running() -> Iterator[Path]:
    """The sockets of this user's running processes."""
    for path in sorted(directory().glob("*.sock")):
        if is_stale(path):
            path.unlink(missing_ok=True)
        else:
            yield path
