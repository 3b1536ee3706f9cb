"""Processes that are killed at a random point."""

import random
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Killed:
    """The whole lines that a process wrote before it was killed, or, if it ``survived``, ended by itself."""

    lines: tuple[bytes, ...]
    survived: bool


def kill_at_random(command: Sequence[str], seed: int, *, lines: tuple[int, int] = (1, 100)) -> Killed:
    """Run ``command`` and kill it (SIGKILL) after a number of lines of its output, which ``seed`` decides.

    The process goes on while the signal is on its way, so the kill hits any point after that line. All output up to
    the kill is read.
    """
    target = random.Random(seed).randint(*lines)  # no secret
    written: list[bytes] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # the test's own
        out: Any = process.stdout
        while len(written) < target and (line := out.readline()):
            written.append(line)
        survived = len(written) < target
        process.kill()
        written += out.read().splitlines(keepends=True)
    return Killed(tuple(line.rstrip(b"\r\n") for line in written if line.endswith(b"\n")), survived)
