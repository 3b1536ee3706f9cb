"""The side that asks."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowcore.control.hub import ANSWER, LINGER
from flowcore.errors import UsageError


def ask(path: Path, request: Mapping[str, Any], timeout: float = ANSWER + LINGER) -> tuple[dict[int, Any], list[int]]:
    """Ask the hub at ``path``: the answers by worker, and the workers that gave none. Raises `UsageError`."""
    answers: dict[int, Any] = {}
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(timeout)
            client.connect(str(path))
            client.sendall(json.dumps(request).encode() + b"\n")
            for line in client.makefile("rb"):
                reply = json.loads(line)
                if "error" in reply:
                    raise UsageError(reply["error"])
                if "done" in reply:
                    return answers, reply["missing"]
                answers[reply["worker"]] = reply["answer"]
    except (OSError, ValueError) as error:
        raise UsageError(f"no answer at {path}: {getattr(error, 'strerror', None) or error}") from error
    raise UsageError(f"no answer at {path}: it hung up")
