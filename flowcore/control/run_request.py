"""Requests to drain a run, and to reload its graph, for every client of the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowcore.control.client import ask
from flowcore.engine.reloader import PREPARE_TIMEOUT


def drain_run(path: Path, seconds: float) -> bool:
    """Let the run end with its last call, or after ``seconds``. Raises `UsageError`.

    Returns False if it was draining already: its first time limit stays.
    """
    answers, _ = ask(path, {"ask": "drain", "seconds": seconds})
    return bool(answers[0])


def reload_run(path: Path) -> dict[str, Any]:
    """Reload the graph, and return what `flowcore.engine.reloader.Reloader.reload` does. Raises `UsageError`."""
    answers, _ = ask(path, {"ask": "reload"}, timeout=2 * PREPARE_TIMEOUT)
    answer: dict[str, Any] = answers[0]
    return answer
