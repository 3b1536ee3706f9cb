"""Many short calls from processes of their own, so that the engine's process is the engine's alone."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Self

from tests.support.phone import OPEN, Phone
from tools.load import frame

PROCESSES = 4


class Crowd:
    """Makes calls, some at a time, while the block runs."""

    def __enter__(self) -> Self:
        self._pool = ProcessPoolExecutor(PROCESSES, mp_context=get_context("forkserver"))
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def call(self, url: str, numbers: Iterable[int]) -> None:
        """One call of each number; returns after the last of them."""
        list(self._pool.map(partial(_call, url), numbers, chunksize=10))


def _call(url: str, number: int) -> None:
    """A short call; three of ten are cut off at a random byte, by a reset or in peace."""
    picks = random.Random(number)
    phone = Phone(url, f"call{number % 7}")
    OPEN.remove(phone)
    with phone.socket:
        phone.start()
        phone.talk(number, 0.1)
        if picks.random() >= 0.3:
            phone.stop()
            phone.hang_up()
            return
        half = frame(phone.sender.media("agent", bytes(160)))
        phone.socket.sendall(half[: picks.randrange(len(half))])
        if picks.random() < 0.5:
            phone.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
