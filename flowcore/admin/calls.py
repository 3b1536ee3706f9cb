"""Operations on live calls."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from flowcore.admin.engine_client import EngineClient
from flowcore.admin.problems import api_error, responses
from flowcore.control.client import live_calls, only_call
from flowcore.errors import UsageError

CallId = Annotated[
    str,
    Path(
        description="`newest`, or any id of the call (flow, call id, phone number, …), or the beginning of one. An id "
        "with a slash does not fit into a path: use the flow.",
        openapi_examples={"newest": {"value": "newest"}},
    ),
]


class Call(BaseModel):
    """A live call, with the fields of `flowcore calls --json`."""

    model_config = ConfigDict(extra="allow")

    flow: str = Field(description="Id of the flow.", examples=["20261224T181500-1f0c9a2e"])
    call_id: str = Field(description="Id of the call, chosen by the peer; empty if it has none.", examples=["c-4711"])
    since: datetime = Field(description="Start, in local time.")
    state: str = Field(description="State of the flow.", examples=["running"])
    paused: bool = Field(description="Whether an operator silenced the whole call.")
    muted: list[str] = Field(description="The parties that an operator silenced.")
    lost_ms: int = Field(description="Audio lost so far, of each party, in milliseconds.")
    queue_ms: int = Field(description="Audio that waits in queues now, in milliseconds.")
    worker: int = Field(description="Number of the worker that holds the call.")


class CallList(BaseModel):
    """The live calls, oldest first."""

    calls: list[Call]
    missing: list[int] = Field(description="Workers that did not answer within 2 seconds: their calls are not listed.")


router = APIRouter(prefix="/v1/calls", tags=["calls"])


def engine_client(request: Request) -> EngineClient:
    """Dependency: the client of the control hub."""
    client: EngineClient = request.app.state.engine
    return client


Engine = Annotated[EngineClient, Depends(engine_client)]


async def ask(engine: EngineClient, request: Mapping[str, Any]) -> tuple[dict[int, Any], list[int]]:
    """Ask the hub. Raises `ApiError` 503 when there is no answer."""
    try:
        return await engine.ask(request)
    except UsageError as error:
        raise api_error(error) from None


async def find_call(engine: EngineClient, name: str) -> dict[str, Any]:
    """Return the live call that `flowcore.control.find_call` finds. Raises `ApiError` for none and for several."""
    answers, missing = await ask(engine, {"ask": "calls", "name": name})
    try:
        return only_call(live_calls(answers), missing, name)
    except UsageError as error:
        raise api_error(error, name) from None


@router.get("", summary="List the live calls")
async def list_calls(engine: Engine) -> CallList:
    """Return the live calls of all workers, oldest first."""
    answers, missing = await ask(engine, {"ask": "calls"})
    return CallList(calls=[Call(**call) for call in live_calls(answers)], missing=missing)


@router.get("/{call}", summary="Show a live call", responses=responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT))
async def show_call(call: CallId, engine: Engine) -> Call:
    """Return one live call; of a call with several sessions, the latest."""
    found = await find_call(engine, call)
    return Call(**{key: value for key, value in found.items() if key != "match"})
