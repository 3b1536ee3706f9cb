"""Requests to a control hub."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flowcore.control.errors import NoAnswer, NoSuchCall, SeveralCalls, without_answer
from flowcore.control.handler import ANSWER_TIMEOUT
from flowcore.control.hub import READ_TIMEOUT
from flowcore.errors import UsageError


def ask(
    path: Path, request: Mapping[str, Any], timeout: float = ANSWER_TIMEOUT + READ_TIMEOUT
) -> tuple[dict[int, Any], list[int]]:
    """Ask the hub at ``path``. Returns the answers by worker, and the workers without one.

    Raises `NoAnswer`, and `UsageError` for a request that the hub refuses.
    """
    answers: dict[int, Any] = {}
    try:
        with socket.socket(socket.AF_UNIX) as client, client.makefile("rb") as replies:
            client.settimeout(timeout)
            client.connect(str(path))
            client.sendall(json.dumps(request).encode() + b"\n")
            for line in replies:
                reply = json.loads(line)
                if "error" in reply:
                    raise UsageError(reply["error"])
                if "done" in reply:
                    return answers, reply["missing"]
                answers[reply["worker"]] = reply["answer"]
    except (OSError, ValueError) as error:
        raise NoAnswer(f"no answer at {path}: {getattr(error, 'strerror', None) or error}") from error
    raise NoAnswer(f"no answer at {path}: it hung up")


def only_running(paths: Iterable[Path]) -> Path:
    """Return the socket of the only running process. Raises `UsageError` unless exactly one is running."""
    found = list(paths)
    if not found:
        raise UsageError("no flowcore is running: start one with  flowcore run GRAPH, or give --control")
    if len(found) > 1:
        raise UsageError("\n".join(["several are running: choose one with --control", *map(str, found)]))
    return found[0]


def all_calls(path: Path, name: str = "") -> tuple[list[dict[str, Any]], list[int]]:
    """Return all live calls, oldest first, with the ``worker`` of each; and the workers that did not answer.

    With a ``name``, each call has its `flowcore.call_ids.Match`.
    """
    answers, missing = ask(path, {"ask": "calls"} | ({"name": name} if name else {}))
    return live_calls(answers), missing


def live_calls(answers: Mapping[int, Any]) -> list[dict[str, Any]]:
    """Return the calls in the answers to a request for ``calls``, oldest first, with the ``worker`` of each."""
    listed = [{**call, "worker": worker} for worker, calls in answers.items() for call in calls]
    return sorted(listed, key=lambda call: (call["since"], call["flow"]))


def matching_calls(calls: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return those of ``calls``, asked for with ``name``, that it means: the exact ones, else those it begins."""
    if name == "newest":
        return calls[-1:]
    return [call for call in calls if call["match"] == "exact"] or [call for call in calls if call["match"]]


def find_call(path: Path, name: str) -> dict[str, Any]:
    """Return the live call with the id ``name``, or with an id that begins with it, or the ``newest``.

    Ids are those of `flowcore.call_ids`. Of a call with several sessions this is the latest. Raises `NoSuchCall`,
    `SeveralCalls` and `NoAnswer`.
    """
    calls, missing = all_calls(path, name)
    if not calls and not missing:
        raise NoSuchCall("there is no live call now: `flowcore calls --watch` shows when one comes")
    return only_call(calls, missing, name)


def only_call(calls: list[dict[str, Any]], missing: list[int], name: str) -> dict[str, Any]:
    """Return the call that ``name`` means, of all live calls; ``missing`` are the workers without an answer.

    Raises `NoSuchCall` and `SeveralCalls`.
    """
    found = matching_calls(calls, name)
    if not found:
        told = f"there is no live call {name!r}: `flowcore calls` lists them{without_answer(missing)}"
        raise NoSuchCall(told, missing)
    if len({call["call_id"] or call["flow"] for call in found}) > 1:
        raise SeveralCalls(name, [(call["flow"], call["call_id"]) for call in found])
    return found[-1]
