"""The environment variable that tells worker processes how many of them run."""

from __future__ import annotations

import os
from typing import Final

WORKER_COUNT: Final = "FLOWCORE_WORKERS"
"""Set in each process of ``flowcore run --workers``; its supervisor is the parent process."""


def worker_count() -> int:
    """Return the number of worker processes that share this machine's cores; 1 without ``--workers``."""
    return int(os.environ.get(WORKER_COUNT, "1"))
