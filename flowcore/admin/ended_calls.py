"""Operations on ended calls, from the call log."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from flowcore.admin.access import Authorized, Client, may_listen
from flowcore.admin.call_history import CallHistory, HistoryFailed
from flowcore.admin.problems import ApiError, responses

MAX_CALLS: Final = 500
"""Calls in one answer at most."""
MAX_LOSS: Final = 10**9
"""Milliseconds that can be asked for at most: what the database takes."""

Found = TypeVar("Found")
Flow = Annotated[str, Path(description="Flow of the call.", max_length=256)]


class EndedCall(BaseModel):
    """An ended call, with the columns of the call log."""

    model_config = ConfigDict(extra="allow")

    flow: str = Field(description="Id of the flow.", examples=["20261224T181500-1f0c9a2e"])
    call_id: str | None = Field(description="Id of the call, chosen by the peer; empty if it has none.")
    started: datetime | None = Field(description="Start.")
    ended: datetime | None = Field(description="End; null for a call whose process died.")
    seconds: float | None = Field(description="Length; null for a call whose process died, as the fields below.")
    reason: str | None = Field(description="Why it ended.")
    lost_ms: int | None = Field(description="Lost audio, of each party, in milliseconds.")
    parties: list[str] | None = Field(description="Tracks on which audio came.")


class EndedCalls(BaseModel):
    """Ended calls, the newest first."""

    log: bool = Field(description="False when this run keeps no call log.")
    calls: list[EndedCall]


class CallFile(BaseModel):
    """A finished file of a call."""

    path: str
    sha256: str | None = Field(description="Checksum; null if another program has taken the file at once.")
    bytes: int | None = Field(description="Size; null when the file is not there any more, or on another machine.")
    about: dict[str, Any] | None = Field(description="Its metadata without session and agents.")


class Stretch(BaseModel):
    """A stretch of a call, in seconds."""

    track: str
    start: float
    end: float


class EndedCallDetails(EndedCall):
    """An ended call with what its files tell."""

    files: list[CallFile]
    files_here: bool = Field(description="Whether the files were written on this machine.")
    talk: list[Stretch] | None = Field(description="When each party spoke, from the levels of WAV recordings.")


class Spoken(BaseModel):
    """A text of a transcript."""

    model_config = ConfigDict(extra="allow")

    track: str
    start: float
    end: float
    text: str
    final: bool


class Words(BaseModel):
    """The texts of a call, in the order of their starts."""

    texts: list[Spoken] | None = Field(description="Null without a transcript in JSON lines on this machine.")


router = APIRouter(prefix="/v1/ended", tags=["ended calls"])


def call_history(request: Request) -> CallHistory:
    """Dependency: the reader of the call log."""
    history: CallHistory = request.app.state.history
    return history


History = Annotated[CallHistory, Depends(call_history)]
RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _as_rfc_3339(value: Any) -> Any:
    """Refuse other notations, which pydantic takes too, such as a number of seconds."""
    if isinstance(value, str) and not RFC_3339.fullmatch(value):
        raise ValueError("write it as 2026-12-24T18:15:00+01:00")
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_as_rfc_3339)]
PERSONAL: Final = ("attributes", "agents")
"""Columns with phone numbers and names, which a client that only reads does not get."""


@router.get("", summary="List ended calls")
async def list_ended(
    history: History,
    client: Authorized,
    since: Annotated[Time | None, Query(description="Only calls that ended at this time or later.")] = None,
    until: Annotated[Time | None, Query(description="Only calls that ended before this time.")] = None,
    lost_ms: Annotated[
        float | None, Query(description="Only calls that lost so much, or an unknown amount.", ge=0, le=MAX_LOSS)
    ] = None,
    limit: Annotated[int, Query(description="Calls in the answer at most.", ge=1, le=MAX_CALLS)] = 50,
) -> EndedCalls:
    """Return the last ended calls, the newest first. A call is here some seconds after its end.

    Phone numbers and names of agents are left out for a token that only reads.
    """
    if not history.place:
        return EndedCalls(log=False, calls=[])
    rows = await _asked(history.latest(since, until, lost_ms, limit))
    return EndedCalls(log=True, calls=[EndedCall(**_shown(row, client)) for row in rows])


@router.get("/{flow}", summary="Show an ended call", responses=responses(HTTPStatus.NOT_FOUND))
async def show_ended(flow: Flow, history: History, client: Authorized) -> EndedCallDetails:
    """Return an ended call with its files."""
    row = await _asked(history.show(flow)) if history.place else None
    if row is None:
        raise ApiError(HTTPStatus.NOT_FOUND, "the call log has no such call (yet): GET /v1/ended lists them")
    return EndedCallDetails(**_shown(row, client))


@router.get("/{flow}/words", summary="Show the words of an ended call", dependencies=[Depends(may_listen)])
async def show_words(flow: Flow, history: History) -> Words:
    """Return the texts of a call, from its transcript in JSON lines."""
    return Words.model_validate({"texts": await _asked(history.words(flow)) if history.place else None})


def _shown(row: Mapping[str, Any], client: Client) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in PERSONAL or "listen" in client.scopes}


async def _asked(answer: Awaitable[Found]) -> Found:
    try:
        return await answer
    except HistoryFailed as error:
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"Retry-After": "5"}) from None
