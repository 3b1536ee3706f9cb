"""The row of a call: made when its flow opens, completed with the figures of ``flow_closed``."""

from __future__ import annotations

import hashlib
import hmac
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, timedelta
from importlib.metadata import version
from typing import Any, Final, Literal

from flowcore.engine.engine import Engine
from flowcore.engine.flow import Flow
from flowcore.graph.plan import Plan
from flowcore.text import Text

MAX_VALUE: Final = 1000
"""Characters of an attribute that a row keeps."""
Personal = Literal["keep", "hash", "omit"]
Row = dict[str, Any]


def versions(plan: Plan) -> dict[str, str]:
    """Return the programs of a flow: flowcore, the graph's path, and the SHA-256 of its files and settings."""
    return {"flowcore": version("flowcore"), "graph": plain(plan.name), "graph_sha256": plan.sha256}


class WordCount:
    """The words of the final texts that leave one output; counted in the node's thread."""

    def __init__(self) -> None:
        self.words = 0

    def __call__(self, text: Text) -> None:
        if text.final:
            self.words += len(text.text.split())


class Recorder:
    """Writes a row when a flow opens, and the whole row when it has closed.

    ``write`` takes the id of the flow, the row and the paths of the files. ``personal`` says what becomes of attributes
    that may identify a person, which are all but the listener's ``call_ids`` without its ``personal`` ones; ``key`` is
    that of the hashes (HMAC-SHA256). An opened row has no ``reason``.
    """

    def __init__(self, write: Callable[[str, Row, list[str]], None], personal: Personal, key: bytes) -> None:
        self._write = write
        self._host = socket.gethostname()
        self._personal = personal
        self._key = key
        self._rows: dict[str, tuple[Row, list[WordCount]]] = {}

    def attach(self, engine: Engine) -> None:
        """Follow the flows of an engine, from its first one on."""
        listener = engine.plan.listener.cls
        self._ids = frozenset(listener.call_ids) - frozenset(listener.personal)
        engine.on_opened.append(self._opened)
        engine.on_closed.append(self._closed)

    def _opened(self, flow: Flow) -> None:
        attributes = {plain(name): plain(value) for name, value in flow.session.attributes.items()}
        ids = {name: value for name, value in attributes.items() if name in self._ids}
        row = {
            "flow": flow.id,
            "call_id": ids.get("call_id", ""),
            "ids": ids,
            "attributes": self._protected({name: attributes[name] for name in attributes if name not in ids}),
            "started": flow.session.started.astimezone(UTC).isoformat(),
            "host": self._host,
            **versions(flow.plan),
        }
        counts = []
        for run in flow.runs.values():
            if run.plan.given is None or run.plan.given.kind != "text":
                for port, form in enumerate(run.plan.gives):
                    if form.kind == "text":
                        counts.append(WordCount())
                        run.add_probe(port, counts[-1])
        self._rows[flow.id] = row, counts
        self._write(flow.id, row, [])

    def _protected(self, attributes: Mapping[str, str]) -> dict[str, str]:
        if self._personal == "omit":
            return {}
        if self._personal == "keep":
            return dict(attributes)
        return {n: hmac.new(self._key, v.encode(), hashlib.sha256).hexdigest() for n, v in attributes.items()}

    def _closed(self, flow: Flow) -> None:
        row, counts = self._rows.pop(flow.id)
        outcome = flow.outcome
        self._write(
            flow.id,
            row
            | {name: outcome[name] for name in ("seconds", "lost_ms", "lost", "lost_between", "delay_ms")}
            | {
                "parties": [plain(track) for track in outcome["parties"]],
                "silenced": [(plain(track), start, end) for track, start, end in outcome["silenced"]],
                "reason": plain(outcome["reason"]),
                "ended": (flow.session.started.astimezone(UTC) + timedelta(seconds=outcome["seconds"])).isoformat(),
                "words": sum(count.words for count in counts) if counts else None,
                "failures": [{"node": e.node, "error": type(e.cause).__name__} for e in flow.failures],
            },
            flow.summary.files,
        )


def plain(value: str) -> str:
    """Return a peer's text short and printable: a database takes neither NUL nor half of a surrogate pair."""
    text = str(value)[:MAX_VALUE]
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
