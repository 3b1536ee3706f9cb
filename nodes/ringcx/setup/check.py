"""The outcome of one check."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Check(NamedTuple):
    """One line of the result: what was checked, how it went, and what was found or would help."""

    outcome: Literal["ok", "warning", "failed"]
    what: str
    text: str


class Failed(Exception):
    """A check failed; the text says what is wrong, and what would help."""


NO_FLOWCORE = "the proxy reaches no flowcore: run the graph, and compare the proxy's upstream with its port"


def explain_status(status: int) -> str:
    """Return what an HTTP status in place of the expected answer means."""
    match status:
        case 401 | 403:
            advice = "the secret is not the graph's, or networks excludes this machine; a proxy must be in behind_proxy"
        case 404:
            advice = "the proxy has no rule for this host and path, or the graph's `path` is another"
        case 400 | 426 | 200:
            advice = "the proxy does not pass on Upgrade and Connection, or another program answers"
        case 502 | 503 | 504:
            advice = NO_FLOWCORE
        case _:
            advice = "another program answers, or a rule of the proxy"
    return f"the answer is {status}: {advice}"
