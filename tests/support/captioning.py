"""Captions of one process, for tests of their store and of their exchange."""

from __future__ import annotations

import json
from datetime import datetime

from flowcore import Session, Text
from nodes.captions.call_store import CallStore
from nodes.captions.shared_calls import SharedCalls

NOON = datetime(2026, 1, 2, 12)


def session(call: str, flow: str, started: datetime = NOON, ids: tuple[str, ...] = (), account: str = "") -> Session:
    return Session(flow, started, {"call_id": call, "account_id": account}, (call, *ids))


def text(utterance: int, words: str, *, final: bool = True, start: float = 0.0, track: str = "agent") -> Text:
    return Text(track, start, start + 1, words, final, utterance)


class CaptionWorker:
    """The captions of one process, on a clock of the test; ``told`` holds its messages to other workers."""

    def __init__(self, keep: float = 60) -> None:
        self.now = 0.0
        self.told: list[str] = []
        self.calls = CallStore(keep)
        self.shared_calls = SharedCalls(
            self.calls, lambda: self.now, lambda message: self.told.append(json.dumps(message))
        )

    def shown(self, call: str) -> tuple[object, list[tuple[str, float, str, bool]]] | None:
        found = self.calls.find(call)
        if found is None:
            return None
        state, lines = self.calls.changes(found, 0)
        return state, sorted((line.id, line.start, line.text, line.final) for _, line in lines)

    def lines(self, call: str = "one") -> list[str]:
        found = self.calls.find(call)
        assert found is not None
        return [line.text for _, line in self.calls.changes(found, 0)[1]]
