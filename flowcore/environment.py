"""The environment variables by which the processes of a run know that they belong together."""

from __future__ import annotations

import os
import socket
from typing import Final

WORKER_COUNT: Final = "FLOWCORE_WORKERS"
"""Set in each process of ``flowcore run --workers``; its supervisor is the parent process."""
RUN: Final = "FLOWCORE_RUN"
"""Set in the processes of a run that took over from another: the name of that run."""


def worker_count() -> int:
    """Return the number of worker processes that share this machine's cores; 1 without ``--workers``."""
    return int(os.environ.get(WORKER_COUNT, "1"))


def run_name() -> str:
    """Return the name that all processes of this run have, and those of runs that take over from it."""
    process = os.getppid() if WORKER_COUNT in os.environ else os.getpid()
    # Containers that share a folder all have a process 1.
    return os.environ.get(RUN) or f"{process} on {socket.gethostname()}"
