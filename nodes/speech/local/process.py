"""A decoder in a process of its own: its threads, memory and crashes are not the engine's.

Question and answer are one message each: the samples, then the words. The same two messages could go to another
machine. The process holds no descriptor of ours but its end of one socket, and dies with us: with the thread that
started it (Linux), and at the latest when it next looks at that socket.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowcore import CannotStart, FlowcoreError
from nodes.speech.local.decoder import DecodeFailed, Decoder
from nodes.speech.local.worker import DecoderDied, Stoppable

LOADING = 120.0
"""Seconds that a model may take to load; the largest take 20 s from a cold disk."""
HANGS = 60.0
"""Seconds after which a decoder is held to hang; the embedded model takes 0.7 s for its longest utterance."""
NICE = 5
"""Added to the niceness: when the cores are short, what receives and records goes first."""
PR_SET_PDEATHSIG = 1  # linux/prctl.h
READY, WORDS, FAILED = b"+", b"=", b"!"


class DecoderProcess(Decoder, Stoppable):
    """Runs the decoder class ``cls`` with ``config`` elsewhere; `open` and `decode` are called in one thread."""

    def __init__(self, cls: type[Decoder], config: Any) -> None:
        super().__init__(config)
        self._job = json.dumps(
            {
                "module": cls.__module__,
                "class": cls.__qualname__,
                "config": None if config is None else config.model_dump(mode="json"),
                "parent": os.getpid(),
            }
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[Any, Any] | None = None
        self._stopped = False
        self._lock = threading.Lock()  # `stop` comes from another thread, at any time

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        return self._process.pid if self._process else None

    def open(self) -> None:
        ours, theirs = socket.socketpair()
        patience = struct.pack("@ll", *divmod(round(HANGS * 1e6), 1_000_000))  # struct timeval: seconds, microseconds
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
        command = [sys.executable, "-m", __name__, str(theirs.fileno()), self._job]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        with theirs, self._lock:
            self._connection = Connection(ours.detach())
            if self._stopped:
                raise DecoderDied("the engine was closed")
            self._process = subprocess.Popen(  # noqa: S603  # this interpreter, and names of our own
                command, pass_fds=[theirs.fileno()], env=environment, process_group=0,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        answer = self._answer(LOADING)
        if not answer.startswith(READY):
            error = json.loads(answer[1:])
            raise CannotStart(error["message"], field=error["field"])

    def decode(self, samples: NDArray[np.int16]) -> str:
        try:
            if self._connection is None:
                raise DecoderDied("the decoder is closed")
            self._connection.send_bytes(np.ascontiguousarray(samples, "<i2").data.cast("B"))
        except OSError as error:
            raise DecoderDied(self._why()) from error
        answer = self._answer(HANGS)
        text = answer[1:].decode()
        if answer.startswith(FAILED):
            raise DecodeFailed(text)
        return text

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._process:
                self._process.kill()

    def close(self) -> None:
        with self._lock:
            if self._connection:
                self._connection.close()
            if self._process:
                self._process.kill()  # it holds nothing that is worth an orderly end
                self._process.wait()
            self._connection = self._process = None

    def _answer(self, timeout: float) -> bytes:
        try:
            if self._connection is None:
                raise DecoderDied("the decoder is closed")
            if not self._connection.poll(timeout):
                raise DecoderDied(f"the decoder gave no answer within {timeout:g} s")
            return self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise DecoderDied(self._why()) from error

    def _why(self) -> str:
        if self._process is None:
            return "the decoder is closed"
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(1.0)
            how = signal.Signals(-code).name if -code in {*signal.Signals} else f"exit code {code}"
            return f"the decoder's process died ({how})"
        return "the decoder's process hung up"


def main(fd: int, job: dict[str, Any]) -> None:
    """The process: answer until the other side is gone."""
    _depend_on(job["parent"])
    connection: Connection[Any, Any] = Connection(fd)
    cls = getattr(importlib.import_module(job["module"]), job["class"])
    config = None if job["config"] is None else cls.Config(**job["config"])
    decoder: Decoder = cls(config)
    try:
        decoder.open()
    except FlowcoreError as error:
        message, field = getattr(error, "message", str(error)), getattr(error, "field", "")
        connection.send_bytes(FAILED + json.dumps({"message": message, "field": field}).encode())
        return
    connection.send_bytes(READY)
    with suppress(EOFError, ConnectionError):
        while True:
            samples = np.frombuffer(connection.recv_bytes(), "<i2")
            try:
                answer = WORDS + decoder.decode(samples).encode()
            except DecodeFailed as error:
                answer = FAILED + str(error).encode()
            except Exception as error:  # a mistake in somebody's engine costs this utterance, and not the loaded model
                answer = FAILED + f"{type(error).__name__}: {error}".encode()
            connection.send_bytes(answer)


def _depend_on(parent: int) -> None:
    """Live and die with the process that started this one, and yield to it."""
    # Ctrl-C and a service manager's SIGTERM go to all processes: the calls that drain still need this one.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        with suppress(OSError):  # if memory runs out, let the kernel take what can be replaced
            Path("/proc/self/oom_score_adj").write_text("500")
    if os.getppid() != parent:  # it died before we could say so
        os._exit(1)
    os.nice(NICE)


if __name__ == "__main__":
    main(int(sys.argv[1]), json.loads(sys.argv[2]))
