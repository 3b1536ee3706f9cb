"""Show the words while they are spoken: text in, lines on the terminal out."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections import deque
from typing import TextIO

from rich.cells import cell_len

from flowcore import TEXT, Config, Resource, Session, Sink, Text, node
from flowcore.events import Reason
from nodes.transcripts.plain import plain, words

COLOURS = {"agent": "36", "customer": "33"}  # SGR codes of ECMA-48: cyan, yellow; who else speaks is magenta
OTHER_COLOUR = "35"
BACKLOG = 1000  # final lines kept for a terminal that takes none


@node("console")
class Console(Sink[Text]):
    """Both parties, each in its colour; an interim text stands below the finals until its final replaces it.

    On a pipe, or with TERM=dumb, there are finals only, a line each: ``[00:12.3] agent: hello``. Where no engine
    understood the voice, ``[untranscribed 3.2 s]`` stands. The flow's short id follows the time from when a second
    flow opens until none is open. NO_COLOR is respected; control characters are left out.

    In: ``Text`` of any tracks. Out: standard output. A terminal that stands still (Ctrl-S) holds up nothing:
    finals beyond its backlog are dropped.

    Example::

        show: {use: console, from: words}
    """

    caps = (TEXT,)
    runs = "thread"
    loss = "allowed"
    reasons = (Reason("terminal_stuck", "Final texts beyond the backlog of a terminal that does not take them."),)

    resource: Screen

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._flow = ""

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


class Screen(Resource):
    """The terminal, which all flows of the process share: finals scroll up, the live lines stay below them.

    The cursor rests on an empty row above the live lines, so that what others print there (a log line) stays whole
    and only pushes them down. One thread draws at a time; the others leave it their lines and go on.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        """``stream`` is standard output when left out."""
        self._stream = stream
        self._lock = threading.Lock()  # guards all below; never held while writing
        self._pen = threading.Lock()  # held by the one who writes
        self._flows: set[str] = set()
        self._several = False  # stays while any flow is open: a line without an id among others would belong to anyone
        self._live: dict[tuple[str, str], Text] = {}  # the interim text of each flow and track
        self._finals: deque[str] = deque()
        self._changed = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Screen) and other._stream is self._stream

    def __hash__(self) -> int:
        return hash(id(self._stream))

    def open(self) -> None:
        self._out = self._stream or sys.stdout
        self._in_place = self._out.isatty() and os.environ.get("TERM") != "dumb"
        self._coloured = self._in_place and not os.environ.get("NO_COLOR")

    def join(self, flow: str) -> None:
        """A flow begins to show text."""
        with self._lock:
            self._flows.add(flow)
            self._several = self._several or len(self._flows) > 1

    def leave(self, flow: str) -> None:
        """The flow shows no more; an interim text of it goes."""
        with self._lock:
            self._flows.discard(flow)
            self._several = self._several and bool(self._flows)
            self._live = {key: text for key, text in self._live.items() if key[0] != flow}
            self._changed = True
        self._draw()

    def show(self, flow: str, text: Text) -> bool:
        """Show ``text``; False when it was left out because nothing more reaches the terminal."""
        with self._lock:
            shows = bool(words(text))
            if shows and not text.final:
                self._live[flow, text.track] = text
            else:
                self._live.pop((flow, text.track), None)
            if shows and text.final:
                if len(self._finals) >= BACKLOG:
                    return False
                self._finals.append(self._line(flow, text))
            self._changed = True
        self._draw()
        return True

    def _draw(self) -> None:
        # Who finds the pen taken leaves: its owner looks for changes once more after putting it down.
        while self._changed and self._pen.acquire(blocking=False):
            try:
                with self._lock:
                    picture = self._compose()
                    self._changed = False
                if picture:
                    encoding = self._out.encoding or "utf-8"
                    self._out.write(picture.encode(encoding, "replace").decode(encoding))
                    self._out.flush()
            finally:
                self._pen.release()

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
        """One line of ``text``; when ``cells`` is given, the end of the words that fits into so many cells."""
        minutes, tenths = divmod(round(text.start * 10), 600)
        short = f"{flow.rpartition('-')[2]} " if self._several else ""
        head = f"[{minutes:02}:{tenths / 10:04.1f}] {short}{plain(text.track)}: "
        said = words(text)
        if cells and cell_len(head + said) > cells:
            said = said[-cells:]
            while said and cell_len(f"{head}…{said}") > cells:
                said = said[1:]
            said = f"…{said}"
        if not self._coloured:
            return head + said
        faint = "" if text.final else "2;"
        return f"\x1b[{faint}{COLOURS.get(text.track, OTHER_COLOUR)}m{head}{said}\x1b[0m"
