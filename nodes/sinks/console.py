"""Show live captions in the terminal."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections import deque
from dataclasses import dataclass
from typing import TextIO

from rich.cells import cell_len

from flowcore import TEXT, Config, Resource, Session, Sink, Text, node
from flowcore.events import Reason
from nodes.transcripts.formats import minutes, one_line, text_line

COLOURS = {"agent": "36", "customer": "33"}  # SGR codes of ECMA-48: cyan and yellow; other tracks are magenta
OTHER_COLOUR = "35"
MAX_WAITING_FINALS = 1000  # final texts kept for a terminal that takes no output


@node("console")
class Console(Sink[Text]):
    """Show each party in its colour; an interim text stays below the final ones until its final text replaces it.

    A pipe, or a terminal with TERM=dumb, gets final texts only, one per line: ``[00:12.3] agent: hello``. A gap reads
    ``[untranscribed 3.2 s]``; words that are likely to be wrong begin with ``[uncertain]``. While several flows are
    open, and until all have ended, each line has the flow's short id after the time. NO_COLOR is respected; control
    characters are left out.

    In: ``Text`` of any tracks. Out: standard output. A stopped terminal (Ctrl-S) delays no call: final texts beyond its
    backlog are dropped.

    Example::

        show: {use: console, from: words}
    """

    caps = (TEXT,)
    runs = "thread"
    loss = "allowed"
    reasons = (Reason("terminal_stuck", "Final texts beyond the backlog of a terminal that does not take them."),)

    resource: Screen
    _flow = ""

    @classmethod
    def make_resource(cls, config: Config) -> Resource:
        return Screen()

    def open(self, session: Session) -> None:
        self._flow = session.flow
        self.resource.join(self._flow)

    def process(self, chunk: Text) -> None:
        if not self.resource.show(self._flow, chunk):
            self.report.dropped("terminal_stuck")

    def close(self) -> None:
        self.resource.leave(self._flow)


@dataclass(unsafe_hash=True)
class Screen(Resource):
    """The terminal, shared by all flows of the process: final texts scroll up, and live lines stay below them.

    The cursor rests on an empty row above the live lines, so that other output (a log line) stays whole and only moves
    them down. One thread draws at a time; other threads leave their lines to it.
    """

    stream: TextIO | None = None
    """The output; None for standard output."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()  # guards the attributes below; never held while writing
        self._write_lock = threading.Lock()
        self._flows: set[str] = set()
        self._several = False  # until no flow is open: a line without an id among others would be ambiguous
        self._live: dict[tuple[str, str], Text] = {}  # the interim text of each flow and track
        self._finals: deque[str] = deque()
        self._changed = False

    def open(self) -> None:
        self._out = self.stream or sys.stdout
        self._in_place = self._out.isatty() and os.environ.get("TERM") != "dumb"
        self._coloured = self._in_place and not os.environ.get("NO_COLOR")

    def join(self, flow: str) -> None:
        """Add a flow."""
        with self._lock:
            self._flows.add(flow)
            self._several = self._several or len(self._flows) > 1

    def leave(self, flow: str) -> None:
        """Remove a flow and its interim texts."""
        with self._lock:
            self._flows.discard(flow)
            self._several = self._several and bool(self._flows)
            self._live = {key: text for key, text in self._live.items() if key[0] != flow}
            self._changed = True
        self._draw()

    def show(self, flow: str, text: Text) -> bool:
        """Show ``text``; False if it was dropped because the terminal takes no output."""
        with self._lock:
            shows = bool(text_line(text))
            if shows and not text.final:
                self._live[flow, text.track] = text
            else:
                self._live.pop((flow, text.track), None)
            if shows and text.final:
                if len(self._finals) >= MAX_WAITING_FINALS:
                    return False
                self._finals.append(self._line(flow, text))
            self._changed = True
        self._draw()
        return True

    def _draw(self) -> None:
        # A thread that finds the lock taken returns: the owner checks for changes again after releasing it.
        while self._changed and self._write_lock.acquire(blocking=False):
            try:
                with self._lock:
                    picture = self._compose()
                    self._changed = False
                if picture:
                    encoding = self._out.encoding or "utf-8"
                    self._out.write(picture.encode(encoding, "replace").decode(encoding))
                    self._out.flush()
            finally:
                self._write_lock.release()

    def _compose(self) -> str:
        finals = "".join(f"{line}\n" for line in self._finals)
        self._finals.clear()
        if not self._in_place:
            return finals
        columns, rows = shutil.get_terminal_size()
        live = [self._line(flow, text, columns - 1) for (flow, _), text in self._live.items()][1 - rows :]
        below = "".join(f"\n{line}" for line in live)
        return f"\r\x1b[J{finals}{below}" + (f"\x1b[{len(live)}A\r" if live else "")

    def _line(self, flow: str, text: Text, cells: int = 0) -> str:
        """Format ``text`` as one line; with ``cells``, keep the end of the words that fits into so many cells."""
        short = f"{flow.rpartition('-')[2]} " if self._several else ""
        head = f"[{minutes(text.start)}] {short}{one_line(text.track)}: "
        said = text_line(text)
        if cells and cell_len(head + said) > cells:
            said = said[-cells:]
            while said and cell_len(f"{head}…{said}") > cells:
                said = said[1:]
            said = f"…{said}"
        if not self._coloured:
            return head + said
        faint = "" if text.final else "2;"
        return f"\x1b[{faint}{COLOURS.get(text.track, OTHER_COLOUR)}m{head}{said}\x1b[0m"
