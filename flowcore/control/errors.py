"""Errors of requests to a running flowcore, for clients that tell them apart: the command line shows their text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flowcore.diagnostics import printable
from flowcore.errors import UsageError


class NoAnswer(UsageError):
    """The process, or the worker that may hold the call, did not answer in time."""


class NoSuchCall(UsageError):
    """No live call has this name, or it has ended. ``missing`` are workers without an answer, which may hold it."""

    def __init__(self, text: str, missing: Iterable[int] = ()) -> None:
        self.missing = tuple(missing)
        super().__init__(text)


class NoSuchParty(UsageError):
    """The call has no such party, or not yet."""


class SeveralCalls(UsageError):
    """A name means more than one live call; ``flows`` are theirs."""

    def __init__(self, name: str, calls: Sequence[tuple[str, str]]) -> None:
        """``calls`` has the flow and the call id of each."""
        self.flows = [flow for flow, _ in calls]
        listed = [f"  {flow}  {printable(call_id)}" for flow, call_id in calls]
        super().__init__("\n".join([f"{len(calls)} live calls match {name!r}: give the flow of one", *listed]))


def without_answer(missing: Iterable[int]) -> str:
    """Return a caveat for a message: these workers gave no answer, and may hold the call."""
    workers = ", ".join(map(str, missing))
    return f"; no answer from worker {workers}: ask again" if workers else ""
