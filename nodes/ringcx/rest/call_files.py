"""The metadata beside recordings and transcripts: which of them lack their agents, and how the agents get there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from flowcore.files import write_whole
from flowcore.files.disk import is_at, try_lock

AGENTS = "agents"
"""The field that holds the agents of a call, in the order in which they joined."""

ID_ATTRIBUTES = ("dialog_id", "call_id", "agent_segment_id", "contact_segment_id")
"""The attributes of a session by which RingCX knows its call, the surest first."""


class _Metadata(msgspec.Struct):
    """The fields that recordings and transcripts share. Times are in seconds of the call."""

    flow: str
    started: datetime
    session: dict[str, str]
    seconds: float | None = None
    start: float | None = None
    agents: list[Any] | msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(_Metadata).decode
_NOT_METADATA = (msgspec.MsgspecError, UnicodeDecodeError)


@dataclass(frozen=True)
class CallFile:
    """A file of metadata without agents. ``began`` and ``ended`` are the call's, in seconds since 1970."""

    path: Path
    ids: tuple[str, ...]
    began: float
    ended: float

    def add(self, agents: Sequence[dict[str, Any]]) -> bool:
        """Add the agents to the file: see `add_agents`."""
        return add_agents(self.path, agents)


def known_ids(session: Mapping[str, str]) -> tuple[str, ...]:
    """Return the ids among a session's attributes by which RingCX knows its call, the surest first."""
    return tuple(dict.fromkeys(session[name] for name in ID_ATTRIBUTES if session.get(name)))


def waiting(folders: Iterable[Path], sub_account: str, oldest: float) -> Iterator[CallFile]:
    """Yield the files below ``folders`` that lack their agents, of calls that ended after ``oldest``.

    Calls that name another sub-account are left out, and so are those without an id. Raises OSError for a file that
    cannot be read.
    """
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*.json") if path.is_file()):
            try:
                changed = path.stat().st_mtime  # never before the end of the call
                found = _call_file(path, changed, sub_account) if changed > oldest else None
            except FileNotFoundError:  # taken away meanwhile
                continue
            if found and found.ended > oldest:
                yield found


def add_agents(path: Path, agents: Sequence[dict[str, Any]]) -> bool:
    """Add the agents to a file of metadata, which readers see before or after, never between.

    Return False if the file is gone, or another process adds or has added them. Raises OSError.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return False
    with file:
        if not try_lock(file.fileno()) or not is_at(file.fileno(), path):
            return False
        about = msgspec.json.decode(file.read(), type=dict[str, Any])
        if AGENTS in about:
            return False
        about[AGENTS] = list(agents)
        write_whole(path, msgspec.json.format(msgspec.json.encode(about), indent=2) + b"\n")
        return True


def _call_file(path: Path, changed: float, sub_account: str) -> CallFile | None:
    try:
        about = _decode(path.read_bytes())
    except _NOT_METADATA:
        return None  # another program's JSON
    session = about.session
    known = known_ids(session)
    if about.agents is not msgspec.UNSET or not known or session.get("sub_account_id", sub_account) != sub_account:
        return None
    began = about.started.timestamp()
    ended = changed if about.seconds is None else min(changed, began + (about.start or 0.0) + about.seconds)
    return CallFile(path, known, began, max(began, ended))
