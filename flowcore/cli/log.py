"""The log of a run on standard error: one line for each event of the engine."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict

from flowcore.cli.show import system_message
from flowcore.cli.streams import BackgroundWriter
from flowcore.engine.bus import Event
from flowcore.engine.totals import Totals
from flowcore.errors import FlowcoreError, safe_str
from flowcore.events import FILES

MAX_VALUE_LENGTH = 256
"""Characters of a value in the log at most: values from a peer may have any length."""
MAX_NAMED_FILES = 10
APART = {"cause", "stack", "dropped"}
"""Fields of events that are not logged as they are."""
ERASE_LINE = "\x1b[K"
"""Control sequence that erases to the end of the line (EL of ECMA-48)."""


class Log:
    """Logs the events of a bus, and prints the paths of the written files at the end.

    ``stats`` is the file for all counters at the end. ``worker`` is the number of the worker that logs; addresses and
    files are the supervisor's, which has no number.
    """

    def __init__(
        self, *, as_json: bool = False, quiet: bool = False, worker: int | None = None, stats: Path | None = None
    ) -> None:
        self._stats = stats
        self.files: deque[str] = deque(maxlen=MAX_NAMED_FILES)
        self.written = 0
        self._worker = worker
        self._stream = BackgroundWriter(sys.stderr)
        renderer = structlog.processors.JSONRenderer() if as_json else _for_people(sys.stderr)
        times = structlog.processors.TimeStamper(fmt="iso" if as_json else "%H:%M:%S", utc=as_json)
        self._log = structlog.wrap_logger(
            structlog.WriteLogger(self._stream),  # type: ignore[arg-type]  # structlog only calls write and flush
            processors=[structlog.processors.add_log_level, times, renderer],
            wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if quiet else logging.INFO),
        )

    def event(self, event: Event) -> None:
        if self._worker is not None and event.name in ("listener_opened", "page_opened"):
            return  # all workers are at the same addresses
        fields: dict[str, Any] = {} if self._worker is None else {"worker": self._worker}
        fields |= {key: value for key, value in (("flow", event.flow), ("node", event.node)) if value}
        fields |= {key: plain(value) for key, value in event.data.items() if key not in APART}
        if "stack" in event.data:
            fields["where"] = plain(_where(event.data["stack"]))
        cause = event.data.get("cause")
        if isinstance(cause, BaseException):
            fields |= _explained(cause)
        if event.name in FILES:
            self.wrote(str(event.data["path"]))
        if event.name == "flow_closed":
            self._dropped(event.data, fields)
        getattr(self._log, event.level)(event.name, **fields)

    def _dropped(self, ended: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
        """Log what each node of a call dropped: a line for each reason."""
        call = {key: value for key, value in fields.items() if key in ("worker", "flow", "call_id")}
        for node, reasons in ended.get("dropped", {}).items():
            for reason, tally in reasons.items():
                log = self._log.warning if reason in ended["lost"].get(node, {}) else self._log.info
                log("audio_dropped", **call, node=node, reason=reason, **tally)

    def wrote(self, path: str) -> None:
        """Remember a finished file."""
        self.files.append(path)
        self.written += 1

    def close(self, totals: Totals) -> None:
        """Print the files, and write all counters to the ``stats`` file.

        Raises `FlowcoreError` when the counters cannot be written.
        """
        if self._stream.lost:
            self._log.warning("log_lines_lost", lines=self._stream.lost)
        self._stream.close()  # before the paths are printed
        for path in self.files:
            print(path)  # noqa: T201  # the result of the command
        if self.written > len(self.files):
            print(f"… and {self.written - len(self.files)} files before these")  # noqa: T201
        if self._stats is not None:  # last: on a full disk only the counters are lost
            try:
                self._stats.write_text(json.dumps(totals.json(), indent=2) + "\n")
            except OSError as error:
                raise FlowcoreError(f"cannot write the counters to {self._stats}: {error.strerror}") from None


def _for_people(stream: TextIO) -> Callable[[Any, str, EventDict], str]:
    terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
    coloured = terminal and not os.environ.get("NO_COLOR")
    renderer = structlog.dev.ConsoleRenderer(colors=coloured, pad_event_to=0, pad_level=False, sort_keys=False)

    def line(logger: Any, method: str, event: EventDict) -> str:
        shown = {key: value for key, value in event.items() if value not in ([], {}, "")}
        # The node `console` redraws lines on the same terminal: erase the rest of the line that this one overwrites.
        return f"{renderer(logger, method, shown)}{' ' + ERASE_LINE if terminal else ''}"

    return line


def _explained(cause: BaseException) -> dict[str, Any]:
    """Return the cause in one line; for an error in a node's code also its place."""
    if isinstance(cause, FlowcoreError | OSError):
        return {"cause": plain(system_message(cause) if isinstance(cause, OSError) else safe_str(cause))}
    frames = traceback.extract_tb(cause.__traceback__)
    if not frames:  # the engine made the error, and did not raise it
        return {"cause": plain(safe_str(cause))}
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
    return {"cause": plain(f"{type(cause).__name__}: {safe_str(cause)}"), "where": where}


def _where(stack: str) -> str:
    """Return the last calls of a stack in one line: ``interleave.py:77 > interleave.py:98``."""
    return " > ".join(f"{Path(file).name}:{line}" for file, line in re.findall(r'File "([^"\n]*)", line (\d+)', stack))


def plain(value: Any) -> Any:
    """Return ``value`` printable, on one line and short: a peer's text must not forge log lines or move a cursor."""
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, str):
        cut = value if len(value) <= MAX_VALUE_LENGTH else value[:MAX_VALUE_LENGTH] + "…"
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in cut)
    return value
