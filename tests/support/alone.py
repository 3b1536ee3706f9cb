"""A test in a process of its own: what other tests left in theirs would be in its measure of memory."""

from __future__ import annotations

import functools
import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

INSIDE = "FLOWCORE_TEST_ALONE"


def alone(test: Callable[..., None]) -> Callable[..., None]:
    """Run the test by a pytest of its own, and fail as it fails."""

    @functools.wraps(test)
    def run(request: Any, *args: Any, **kwargs: Any) -> None:
        if INSIDE in os.environ:
            test(*args, **kwargs)
            return
        command = [sys.executable, "-m", "pytest", "-p", "no:xdist", "-p", "no:cacheprovider", request.node.nodeid]
        ran = subprocess.run(
            command, cwd=request.config.rootpath, env={**os.environ, INSIDE: "1"}, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr

    run.__signature__ = _with_request(test)  # type: ignore[attr-defined]
    return run


def _with_request(test: Callable[..., None]) -> Any:
    signature = inspect.signature(test)
    request = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return signature.replace(parameters=[request, *signature.parameters.values()])
