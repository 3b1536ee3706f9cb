"""Counts how many connections all workers of a run hold from each address.

A file that all workers map into memory holds one cell for each connection, with a hash of its address. A worker
writes only its own cells. The others see a new connection at once, so a race of microseconds may pass a limit by one.
`flowcore.workers.call_limit` clears the cells of a worker that died.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import numpy as np

CELLS: Final = 8192
"""Connections that a worker can count at once; further ones are refused to addresses that have a limit."""
FREE: Final = 0
"""Value of a cell that holds no connection."""


class SharedConnectionCounter:
    """Implements `flowcore.node.ConnectionCounter` on ``cells``, of which this worker's begin at ``row * CELLS``."""

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
