"""The log of a run on standard error: one line for each event of the engine."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict

from flowcore.cli.streams import BackgroundWriter
from flowcore.engine.bus import Event
from flowcore.engine.event_fields import event_fields
from flowcore.engine.totals import Totals
from flowcore.errors import FlowcoreError
from flowcore.events import FILES
from flowcore.telemetry.trace_ids import trace_text, traces_wanted
from flowcore.workers.channel import ANNOUNCED_EVENTS

MAX_NAMED_FILES = 10
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
        self._traced = traces_wanted()
        self._stream = BackgroundWriter(sys.stderr)
        renderer = structlog.processors.JSONRenderer() if as_json else _for_people(sys.stderr)
        times = structlog.processors.TimeStamper(fmt="iso" if as_json else "%H:%M:%S", utc=as_json)
        self._log = structlog.wrap_logger(
            structlog.WriteLogger(self._stream),  # type: ignore[arg-type]  # structlog only calls write and flush
            processors=[structlog.processors.add_log_level, times, renderer],
            wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if quiet else logging.INFO),
        )

    def event(self, event: Event) -> None:
        if self._worker is not None and event.name in ANNOUNCED_EVENTS:
            return  # all workers are at the same addresses
        fields: dict[str, Any] = {} if self._worker is None else {"worker": self._worker}
        fields |= event_fields(event)
        if self._traced and event.flow:
            fields["trace_id"] = trace_text(event.flow)
        if event.name in FILES:
            self.wrote(str(event.data["path"]))
        if event.name == "flow_closed":
            self._dropped(event.data, fields)
        getattr(self._log, event.level)(event.name, **fields)

    def _dropped(self, ended: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
        """Log what each node of a call dropped: a line for each reason."""
        call = {key: value for key, value in fields.items() if key in ("worker", "flow", "call_id", "trace_id")}
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
