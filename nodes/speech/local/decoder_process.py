"""A decoder in a process of its own, which keeps its threads, memory and crashes away from the engine.

Request and response are one message each: the method's name, samples and phrases, then the words. The process inherits
one descriptor, its end of a socket. It ends with its parent: with the thread that started it (Linux), or when it next
reads from the socket.
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
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from flowcore import CannotStart, FlowcoreError
from flowcore.speech import Decoded, DecodeFailed, Decoder
from nodes.speech.local.decoder_pool import DecoderDied, Stoppable

LOAD_TIMEOUT = 120.0  # seconds for loading a model; the largest take 20 s from a cold disk
DECODE_TIMEOUT = (
    60.0  # seconds after which a decoder counts as hung; the embedded model's longest utterance takes 0.7 s
)
NICENESS = 5  # added to the niceness, so that receiving and recording go first when the cores are busy
PR_SET_PDEATHSIG = 1  # linux/prctl.h
READY, DECODED, FAILED = b"+", b"=", b"!"
Method = Literal["decode", "decode_interim"]
Request = tuple[Method, bytes, tuple[str, ...]]


class DecoderProcess(Decoder, Stoppable):
    """Runs the decoder class ``cls`` with ``config`` in another process; one thread calls `open` and `decode`."""

    def __init__(self, cls: type[Decoder], config: Any) -> None:
        super().__init__(config)
        settings = {} if config is None else config.model_dump(mode="json")
        job = {"module": cls.__module__, "class": cls.__qualname__, "config": settings, "parent": os.getpid()}
        self._job = json.dumps(job)
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[Any, Any] | None = None
        self._stopped = False
        self._lock = threading.Lock()  # `stop` may come from another thread at any time

    @property
    def pid(self) -> int | None:
        """Id of the running process; None if there is none."""
        return self._process.pid if self._process else None

    def open(self) -> None:
        ours, theirs = socket.socketpair()
        send_timeout = struct.pack("@ll", *divmod(round(DECODE_TIMEOUT * 1e6), 1_000_000))  # struct timeval: s, µs
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, send_timeout)
        command = [sys.executable, "-m", __name__, str(theirs.fileno()), self._job]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        with theirs, self._lock:
            self._connection = Connection(ours.detach())
            if self._stopped:
                raise DecoderDied("the engine was closed")
            self._process = subprocess.Popen(  # noqa: S603  # this interpreter with the class's own names
                command, pass_fds=[theirs.fileno()], env=environment, process_group=0,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        answer = self._answer(LOAD_TIMEOUT)
        if not answer.startswith(READY):
            error = json.loads(answer[1:])
            raise CannotStart(error["message"], field=error["field"])

    def decode(self, samples: NDArray[np.int16], phrases: Sequence[str] = ()) -> Decoded:
        return self._ask("decode", samples, phrases)

    def decode_interim(self, samples: NDArray[np.int16], phrases: Sequence[str] = ()) -> Decoded:
        return self._ask("decode_interim", samples, phrases)

    def _ask(self, method: Method, samples: NDArray[np.int16], phrases: Sequence[str]) -> Decoded:
        try:
            if self._connection is None:
                raise DecoderDied("the decoder is closed")
            request = (method, samples.astype("<i2").tobytes(), phrases)
            self._connection.send_bytes(msgspec.msgpack.encode(request))
        except OSError as error:
            raise DecoderDied(self._cause()) from error
        answer = self._answer(DECODE_TIMEOUT)
        if answer.startswith(FAILED):
            raise DecodeFailed(answer[1:].decode())
        return msgspec.msgpack.decode(answer[1:], type=Decoded)

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
                self._process.kill()  # it holds no state
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
            raise DecoderDied(self._cause()) from error

    def _cause(self) -> str:
        if self._process is None:
            return "the decoder is closed"
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(1.0)
            how = signal.Signals(-code).name if -code in {*signal.Signals} else f"exit code {code}"
            return f"the decoder's process died ({how})"
        return "the decoder's process hung up"


def main(fd: int, job: dict[str, Any]) -> None:
    """Run the process: answer requests until the other side is gone."""
    _tie_to_parent(job["parent"])
    connection: Connection[Any, Any] = Connection(fd)
    cls = getattr(importlib.import_module(job["module"]), job["class"])
    decoder: Decoder = cls(cls.Config(**job["config"]))
    try:
        decoder.open()
    except FlowcoreError as error:
        message, field = getattr(error, "message", str(error)), getattr(error, "field", "")
        connection.send_bytes(FAILED + json.dumps({"message": message, "field": field}).encode())
        return
    connection.send_bytes(READY)
    with suppress(EOFError, ConnectionError):
        while True:
            method, audio, phrases = msgspec.msgpack.decode(connection.recv_bytes(), type=Request)
            samples = np.frombuffer(audio, "<i2")
            try:
                decoded = getattr(decoder, method)(samples, *([phrases] if phrases else []))
                answer = DECODED + msgspec.msgpack.encode(decoded)
            except DecodeFailed as error:
                answer = FAILED + str(error).encode()
            except Exception as error:  # a bug in an engine costs this utterance, not the loaded model
                answer = FAILED + f"{type(error).__name__}: {error}".encode()
            connection.send_bytes(answer)


def _tie_to_parent(parent: int) -> None:
    """End with the parent process, and yield the CPU to it."""
    # Ctrl-C and a service manager's SIGTERM reach all processes, but draining calls still need this one.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        with suppress(OSError):  # if memory runs out, the kernel kills a decoder first: it can be replaced
            Path("/proc/self/oom_score_adj").write_text("500")
    if os.getppid() != parent:  # the parent died before prctl
        os._exit(1)
    with suppress(OSError):  # a hardened service may not be allowed to
        os.nice(NICENESS)


if __name__ == "__main__":
    main(int(sys.argv[1]), json.loads(sys.argv[2]))
