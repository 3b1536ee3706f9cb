"""How many connections all workers of a run hold of each address.

Every worker has cells in the file that all have mapped, one for each connection, with a hash of the address in it; it
writes its own only. What a worker wrote counts for the others at once, so a limit may be passed by one in a race of
microseconds. `flowcore.workers.call_limit` clears the cells of a worker that died.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import numpy as np

CELLS: Final = 8192
"""Connections that a worker can count at once; those beyond are refused to addresses that have a limit."""
FREE: Final = 0


class ConnectionCounter:
    """Implements `flowcore.node.ConnectionCounter` on ``cells``, of which this worker's begin at ``row * CELLS``."""

    def __init__(self, cells: memoryview, row: int = 0) -> None:
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
            return  # there was no cell left when it came
        cell = cells.pop()
        self._mine[cell] = FREE
        self._free.append(cell)
        if not cells:
            del self._held[address]  # or addresses would pile up


def _hash(address: str) -> int:
    return int.from_bytes(blake2b(address.encode(), digest_size=8).digest(), signed=True) or 1
