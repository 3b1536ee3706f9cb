"""Listening to a call from `flowcore top`, by `flowcore tap` in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

COMMAND: Final = (sys.executable, "-c", "from flowcore.cli import main; main()", "tap")


def can_play() -> bool:
    """Whether `flowcore tap --play` can open a sound card, as far as packages are concerned."""
    return find_spec("sounddevice") is not None


class Listening:
    """Plays one call. ``on_end`` is called in a thread, with the reason if it failed, else with an empty text."""

    def __init__(self, control: Path, flow: str, on_end: Callable[[Listening, str], object]) -> None:
        self.flow = flow
        self._stopped = False
        self._process = subprocess.Popen(  # noqa: S603  # this program
            [*COMMAND, flow, "--play", "--control", str(control)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._wait, args=(on_end,), name="flowcore-top-listening", daemon=True).start()

    def stop(self) -> None:
        """Play no more."""
        self._stopped = True
        if self._process.poll() is None:
            self._process.terminate()

    def _wait(self, on_end: Callable[[Listening, str], object]) -> None:
        _, error = self._process.communicate()
        failed = self._process.returncode != 0 and not self._stopped
        lines = [line for line in error.splitlines() if line.startswith("error: ")]
        on_end(self, (lines[0].removeprefix("error: ") if lines else "cannot play") if failed else "")


def show_levels(control: Path, flow: str) -> None:
    """Show the level meter of a call until it ends, or until Ctrl-C, which ends the meter only."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        subprocess.run(  # noqa: S603  # this program
            [*COMMAND, flow, "--control", str(control)],
            check=False,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    finally:
        signal.signal(signal.SIGINT, before)
