"""Places for calls: how many all workers of a run hold together, and which of them should take the next ones.

Every worker has a row of two numbers in a file that all have mapped: whether it takes calls, and how many it holds.
It writes its own row only; the supervisor clears the row of one that died. A single process has one row, and no file.
Behind the rows lie the cells of `flowcore.workers.connection_counter`.
"""

from __future__ import annotations

import fcntl
import mmap
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flowcore.workers.connection_counter import CELLS, FREE, ConnectionCounter

MANY: Final = 64
"""Connections that a process alone takes in one slot at most."""
FEW: Final = 8
"""Connections that a worker takes in one slot at most: a burst lasts several slots, and goes to several workers."""

_OPEN, _HELD, _ROW = 0, 1, 2  # a row: takes calls, holds so many; its length


class CallLimit:
    """The rows of all workers, seen by one of them.

    ``limit`` is for all together. Taking a place is exact: under a lock that the kernel lets go of when its holder
    dies, so no place is given twice and none is refused while there is one.
    """

    def __init__(self, limit: int, rows: int = 1, row: int = 0, fd: int = -1) -> None:
        """``fd`` is the shared file; -1 for a process alone."""
        self.limit = limit
        self.rows = rows
        self.fd = fd
        self._mine = row * _ROW
        self._row = row
        self._cells = memoryview(mmap.mmap(fd, _size(rows))).cast("q")
        self._callers: ConnectionCounter | None = None

    @classmethod
    @contextmanager
    def shared(cls, limit: int, rows: int) -> Iterator[CallLimit]:
        """A new file with empty rows, for a supervisor: it has no row itself."""
        with tempfile.TemporaryFile() as file:
            file.truncate(_size(rows))
            yield cls(limit, rows, 0, file.fileno())

    @property
    def callers(self) -> ConnectionCounter:
        """Who calls: counted over all workers. Made when it is asked for, as most graphs have no such limit."""
        if self._callers is None:
            self._callers = ConnectionCounter(self._cells[self.rows * _ROW :], self._row)
        return self._callers

    @property
    def held(self) -> int:
        """Places taken, by all workers."""
        return sum(self._cells[_HELD : self.rows * _ROW : _ROW])

    @property
    def full(self) -> bool:
        """Whether a call that came now would find no place."""
        return self.held >= self.limit

    def take(self) -> bool:
        """Take a place; False when there is none."""
        with self._locked():
            if self.full:
                return False
            self._cells[self._mine + _HELD] += 1
            return True

    def give_back(self) -> None:
        """A call has ended."""
        self._cells[self._mine + _HELD] -= 1  # nobody else writes here, and a place more does no harm to a count

    def join(self) -> None:
        """From now on this worker takes calls."""
        self._cells[self._mine + _OPEN] = 1

    def leave(self) -> None:
        """No more calls for this worker."""
        self._cells[self._mine + _OPEN] = 0

    def clear(self, row: int) -> int:
        """The worker of ``row`` is dead: free its places and say how many it held."""
        at = row * _ROW
        lost = self._cells[at + _HELD]
        self._cells[at + _OPEN] = self._cells[at + _HELD] = 0
        first = self.rows * _ROW + row * CELLS
        for cell in range(first, first + CELLS):
            self._cells[cell] = FREE
        return lost

    def room(self) -> int:
        """How many new connections this worker should take in this slot.

        One that holds more than the mean takes fewer; but never none, since the others may be stuck. One that takes
        no calls any more leaves them to the others, while there are others.
        """
        if self.rows == 1:
            return MANY
        takers = [self._cells[at + _HELD] for at in range(0, self.rows * _ROW, _ROW) if self._cells[at + _OPEN]]
        if not self._cells[self._mine + _OPEN]:
            return 0 if takers else FEW
        excess = self._cells[self._mine + _HELD] - sum(takers) / len(takers)
        return max(1, FEW - max(0, round(excess)))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self.fd < 0:
            yield
            return
        fcntl.lockf(self.fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self.fd, fcntl.LOCK_UN)


def _size(rows: int) -> int:
    """Bytes of the file."""
    return rows * (_ROW + CELLS) * 8
