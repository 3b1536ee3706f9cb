"""The call limit that all workers of a run share, and how many connections each worker should take.

A file that all workers map into memory holds two numbers for each worker, its *row*: whether the worker takes calls,
and how many it holds. Behind the rows lie the *cells*: one for each connection, with a hash of its address. A worker
writes only its own row and cells; the supervisor clears those of a worker that died.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from hashlib import blake2b
from typing import BinaryIO, Final

import numpy as np

MAX_CONNECTIONS_PER_SLOT: Final = 8
"""Connections that a worker takes in one slot at most: a burst lasts several slots, so several workers share it."""
CELLS: Final = 8192
"""Connections that a worker can count at once; further ones are refused to addresses that have a limit."""
FREE: Final = 0
"""Value of a cell that holds no connection."""

_OPEN, _HELD, _ROW = 0, 1, 2  # columns of a row: takes calls (0 or 1), calls held; and the length of a row


class SharedCallLimit:
    """The rows of all workers, seen by one of them; implements `flowcore.engine.admission.CallLimit`.

    ``limit`` counts over all workers, exactly: `take` holds a file lock, which the kernel releases when its holder
    dies. So no place is given twice, and no call is refused while there is a free place.
    """

    def __init__(self, limit: int, rows: int, row: int, fd: int) -> None:
        """Map the shared file ``fd``, in which row number ``row`` of ``rows`` is this worker's."""
        self.limit = limit
        self.rows = rows
        self.fd = fd
        self._mine = row * _ROW
        self._row = row
        self._cells = memoryview(mmap.mmap(fd, _file_size(rows))).cast("q")

    @classmethod
    @contextmanager
    def shared(cls, limit: int, rows: int) -> Iterator[SharedCallLimit]:
        """Make a new file with empty rows, for a supervisor, which has no row itself."""
        with _memory_file() as file:
            file.truncate(_file_size(rows))
            yield cls(limit, rows, 0, file.fileno())

    @cached_property
    def connections(self) -> SharedConnectionCounter:
        """Connections by address, over all workers; made on first use, because most graphs have no such limit."""
        return SharedConnectionCounter(self._cells[self.rows * _ROW :], self._row)

    @property
    def held(self) -> int:
        """Calls that all workers hold together."""
        return sum(self._cells[_HELD : self.rows * _ROW : _ROW])

    @property
    def share(self) -> int:
        return -(-self.limit // self.rows)

    @property
    def full(self) -> bool:
        return self.held >= self.limit

    @property
    def takers(self) -> int:
        return max(1, sum(self._cells[_OPEN : self.rows * _ROW : _ROW]))

    @property
    def left(self) -> int:
        before_mine = sum(self._cells[_OPEN : self._mine : _ROW])
        return max(0, self.limit - self.held + before_mine) // self.takers  # the parts of all add up to what is left

    def take(self) -> bool:
        fcntl.lockf(self.fd, fcntl.LOCK_EX)
        try:
            if self.full:
                return False
            self._cells[self._mine + _HELD] += 1
            return True
        finally:
            fcntl.lockf(self.fd, fcntl.LOCK_UN)

    def give_back(self) -> None:
        self._cells[self._mine + _HELD] -= 1  # no lock: only this worker writes here, and `take` may see one too many

    def join(self) -> None:
        self._cells[self._mine + _OPEN] = 1

    def leave(self) -> None:
        self._cells[self._mine + _OPEN] = 0

    def clear(self, row: int) -> int:
        """Free the places of the dead worker of ``row``; return how many calls it held."""
        at = row * _ROW
        lost = self._cells[at + _HELD]
        self._cells[at + _OPEN] = self._cells[at + _HELD] = 0
        first = self.rows * _ROW + row * CELLS
        for cell in range(first, first + CELLS):
            self._cells[cell] = FREE
        return lost

    def room(self) -> int:
        """Return how many new connections this worker should take in this slot.

        A worker that holds more calls than the mean takes fewer, but never none, because the others may be stuck. A
        worker that takes no more calls leaves connections to the others, as long as there are others.
        """
        held_by_takers = [self._cells[at + _HELD] for at in range(0, self.rows * _ROW, _ROW) if self._cells[at + _OPEN]]
        if not self._cells[self._mine + _OPEN]:
            return 0 if held_by_takers else MAX_CONNECTIONS_PER_SLOT
        excess = self._cells[self._mine + _HELD] - sum(held_by_takers) / len(held_by_takers)
        return max(1, MAX_CONNECTIONS_PER_SLOT - max(0, round(excess)))


def _memory_file() -> BinaryIO:
    """Return a file that no folder holds: all may be read-only."""
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("flowcore-calls"), "r+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)  # other systems than Linux


def _file_size(rows: int) -> int:
    """Return the size of the shared file, in bytes."""
    return rows * (_ROW + CELLS) * 8


class SharedConnectionCounter:
    """Implements `flowcore.listener.ConnectionCounter` on ``cells``, of which this worker's begin at ``row * CELLS``.

    The other workers see a new connection at once, so a race of microseconds may pass a limit by one.
    """

    def __init__(self, cells: memoryview, row: int) -> None:
        self._all = np.frombuffer(cells, np.int64)
        self._mine = self._all[row * CELLS : (row + 1) * CELLS]
        self._free = list(range(CELLS))
        self._held: dict[str, list[int]] = {}  # the cells of each address, in this process

    def count(self, address: str) -> int:
        if not self._free:
            return CELLS
        return int(np.count_nonzero(self._all == _hash(address)))

    def add(self, address: str) -> None:
        if self._free:
            cell = self._free.pop()
            self._mine[cell] = _hash(address)
            self._held.setdefault(address, []).append(cell)

    def remove(self, address: str) -> None:
        cells = self._held.get(address)
        if not cells:
            return  # no cell was free when the connection began
        cell = cells.pop()
        self._mine[cell] = FREE
        self._free.append(cell)
        if not cells:
            del self._held[address]  # or addresses would pile up


def _hash(address: str) -> int:
    return int.from_bytes(blake2b(address.encode(), digest_size=8).digest(), signed=True) or 1
