"""Requests to set live fields of one call, or of all, for every client of the hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowcore.control.client import ask, find_call
from flowcore.control.errors import NoAnswer, NoSuchCall, without_answer
from flowcore.control.set_all import merged
from flowcore.errors import UsageError


class WrongSettings(UsageError):
    """A setting is wrong, or its field is not live; ``problems`` are as `flowcore check` shows them."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n\n".join(self.problems))


def set_of_call(path: Path, name: str, settings: Sequence[str]) -> dict[str, Any]:
    """Set live fields of the call that `flowcore.control.find_call` finds, ``node.key=value``, in all its flows.

    Returns its ``flow``, and whether anything ``changed``. Raises `WrongSettings`, and another `UsageError`.
    """
    call = find_call(path, name)
    request = {"ask": "set_fields", "flow": call["flow"], "call_id": call["call_id"], "settings": list(settings)}
    answers, missing = ask(path, request)
    found = merged(answers)
    if not found["took"] and not found["same"]:
        if found["refused"]:
            raise WrongSettings(next(iter(found["refused"].values())))
        if missing:
            raise NoAnswer(f"the call may be elsewhere{without_answer(missing)}")
        raise NoSuchCall("the call has ended")
    return {"flow": call["flow"], "changed": bool(found["took"])}


def set_of_all(path: Path, settings: Sequence[str]) -> dict[str, Any]:
    """Set live fields of all running calls, and of new ones until the next reload.

    Returns the flows that ``took`` it and those that had it before (``same``), the problems of flows that ``refused``
    it, and the ``missing`` workers. Raises `WrongSettings`, and another `UsageError`.
    """
    answers, _ = ask(path, {"ask": "set_all", "settings": list(settings)})
    answer: dict[str, Any] = answers[0]
    if "problems" in answer:
        raise WrongSettings(answer["problems"])
    return answer
