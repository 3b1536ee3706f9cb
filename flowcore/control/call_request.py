"""Requests to end, pause, resume, mute and unmute one live call, and their results, for every client of the hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowcore.control.call_control import Action, check_party
from flowcore.control.client import ask, find_call
from flowcore.control.errors import NoAnswer, NoSuchCall, NoSuchParty, without_answer


def control_call(path: Path, name: str, action: Action, party: str = "") -> dict[str, Any]:
    """Do ``action`` with the live call that `flowcore.control.find_call` finds. Raises `UsageError`.

    Returns its ``flow``, ``changed`` (False: it was so already), ``paused``, ``muted`` and ``parties``.
    """
    check_party(action, party)
    call = find_call(path, name)
    answers, missing = ask(path, request(call, action, party))
    return {"flow": call["flow"], **result(answers, missing)}


def request(call: Mapping[str, Any], action: Action, party: str = "") -> dict[str, Any]:
    """Return the request for a call as listed by ``calls``: all flows with its call id, in all workers, are meant."""
    return {"ask": "control_call", "flow": call["flow"], "call_id": call["call_id"], "do": action, "party": party}


def result(answers: Mapping[int, Any], missing: list[int]) -> dict[str, Any]:
    """Return the outcome of a request. Raises `UsageError`."""
    given = [answer for answer in answers.values() if answer]
    done = [answer for answer in given if "error" not in answer]
    if missing and not any(answer["changed"] for answer in done):
        raise NoAnswer(f"the call may be elsewhere{without_answer(missing)}")
    if not given:
        raise NoSuchCall("the call has ended")
    if not done:
        raise NoSuchParty(given[0]["error"])
    return max(done, key=lambda answer: bool(answer["changed"]))
