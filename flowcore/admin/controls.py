"""Operations that change a call or the run, as `flowcore call`, `flowcore drain` and `flowcore reload` do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flowcore.admin.access import Access, Client, may_control
from flowcore.admin.calls import CallId
from flowcore.admin.command_runner import Busy, CommandRunner
from flowcore.admin.problems import ApiError, responses
from flowcore.control import control_call, drain_run, reload_run, set_of_all, set_of_call
from flowcore.control.call_control import Action

FINISH: Final = 2 * 3600.0
"""Seconds that running calls may go on after a drain, unless the client says otherwise: as `flowcore drain`."""
MAX_FINISH: Final = 7 * 24 * 3600.0
JSON: Final = "application/json"
MAX_BODY: Final = 10_000
"""Bytes of settings: they fit into a request to the hub, however they are escaped."""

OF_A_CALL: Final = responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


router = APIRouter(prefix="/v1", tags=["control"])

Operator = Annotated[Client, Depends(may_control)]
Party = Annotated[
    str,
    Query(description="A party of the call: `agent` or `customer`.", min_length=1, max_length=256, examples=["agent"]),
]


class Settings(BaseModel):
    """Values of live fields."""

    model_config = ConfigDict(extra="forbid", strict=True)

    settings: list[str] = Field(
        description="`node.key=value` for each field.", min_length=1, max_length=100, examples=[["louder.level=-6dB"]]
    )


async def settings_of_body(request: Request, client: Operator) -> list[str]:
    """Dependency: the settings in the body, of which no more is read than may be, and nothing of a stranger's."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send the settings as {JSON}")
    body = bytearray()
    async for data in request.stream():
        body += data
        if len(body) > MAX_BODY:
            raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the settings have more than {MAX_BODY} bytes")
    try:
        return Settings.model_validate_json(bytes(body)).settings
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "body"
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{place}: {first['msg']}") from None


Given = Annotated[list[str], Depends(settings_of_body)]
WITH_SETTINGS: Final[dict[str, Any]] = {
    "openapi_extra": {"requestBody": {"required": True, "content": {JSON: {"schema": Settings.model_json_schema()}}}}
}


class CallState(BaseModel):
    """What a command did to a call, and what is silent of it now."""

    flow: str = Field(description="Id of the flow that was found; the command holds for all sessions of its call.")
    changed: bool = Field(description="False: it was so already.")
    paused: bool = Field(description="Whether the whole call is silent.")
    muted: list[str] = Field(description="The parties that are silent.")
    parties: list[str] = Field(description="The parties that have sent audio so far.")


class CallSet(BaseModel):
    """What a change of live fields did to a call."""

    flow: str = Field(description="Id of the flow that was found; the change holds for all running flows of its call.")
    changed: bool = Field(description="False: it was so already.")


class AllSet(BaseModel):
    """What a change of live fields did to all calls."""

    took: list[str] = Field(description="Ids of the flows that took it.")
    same: list[str] = Field(description="Ids of the flows of which it was so already.")
    refused: dict[str, list[str]] = Field(
        description="The problems of all other flows, by id: their version of the graph has no such node, for example."
    )
    missing: list[int] = Field(description="Workers that did not answer in time: their calls may have taken it.")


class Draining(BaseModel):
    """What a drain did."""

    changed: bool = Field(description="False: it was draining already, and its first time limit stays.")


class Reloaded(BaseModel):
    """What a reload did."""

    version: str = Field(description="Version of the graph that new calls get now.", examples=["2-3fa9c1d2"])
    changed: bool = Field(description="False: the files have not changed.")


@router.post("/calls/{call}/end", summary="End a call", responses=OF_A_CALL)
async def end(request: Request, call: CallId, client: Operator) -> CallState:
    """End a call in order, with whole files and the reason `operator`."""
    return await _control(request, client, call, "end")


@router.post("/calls/{call}/pause", summary="Pause a call", responses=OF_A_CALL)
async def pause(request: Request, call: CallId, client: Operator) -> CallState:
    """Silence all parties from the next audio on, in all sessions of the call, until it is resumed."""
    return await _control(request, client, call, "pause")


@router.post("/calls/{call}/resume", summary="Resume a paused call", responses=OF_A_CALL)
async def resume(request: Request, call: CallId, client: Operator) -> CallState:
    """Let a paused call be heard again; muted parties stay silent."""
    return await _control(request, client, call, "resume")


@router.post("/calls/{call}/mute", summary="Mute a party", responses=OF_A_CALL)
async def mute(request: Request, call: CallId, party: Party, client: Operator) -> CallState:
    """Silence one party from the next audio on, in all sessions of the call, until it is unmuted."""
    return await _control(request, client, call, "mute", party)


@router.post("/calls/{call}/unmute", summary="Unmute a party", responses=OF_A_CALL)
async def unmute(request: Request, call: CallId, party: Party, client: Operator) -> CallState:
    """Let a muted party be heard again; a paused call stays silent."""
    return await _control(request, client, call, "unmute", party)


@router.post("/calls/{call}/set", summary="Change live fields of a call", responses=OF_A_CALL, **WITH_SETTINGS)
async def set_of_one(request: Request, call: CallId, client: Operator, settings: Given) -> CallSet:
    """Change fields that are live, such as a volume: the nodes take them between two chunks, within a slot.

    Settings are those of `flowcore run --set`. A wrong one, or one of a field that is not live, changes nothing: 409,
    with `problems` as `flowcore check` shows them.
    """
    command = partial(set_of_call, name=call, settings=settings)
    return CallSet(**await run_command(request, client, "set", command, call))


@router.post(
    "/set", summary="Change live fields of all calls", responses=responses(HTTPStatus.CONFLICT), **WITH_SETTINGS
)
async def set_of_every(request: Request, client: Operator, settings: Given) -> AllSet:
    """Change live fields of all running calls, and of new ones until the next reload."""

    def command(path: Path) -> dict[str, Any]:
        done = set_of_all(path, settings)
        return {**done, "changed": bool(done["took"])}

    return AllSet(**await run_command(request, client, "set", command))


@router.post("/drain", summary="Take no more calls, and end with the last one")
async def drain(
    request: Request,
    client: Operator,
    seconds: Annotated[
        float,
        Query(
            description="How long running calls may go on; then they end in order. 0 ends them now.",
            ge=0,
            le=MAX_FINISH,
            allow_inf_nan=False,
        ),
    ] = FINISH,
) -> Draining:
    """Take no more calls, and end the process with its last one. This cannot be undone."""
    return Draining(**await run_command(request, client, "drain", lambda path: {"changed": drain_run(path, seconds)}))


@router.post("/reload", summary="Reload the graph", responses=responses(HTTPStatus.CONFLICT))
async def reload(request: Request, client: Operator) -> Reloaded:
    """Give new calls the graph that is in the files now, and read certificates again. It may take minutes.

    A wrong graph changes nothing: 409, with `problems` as `flowcore check` shows them.
    """
    return Reloaded(**await run_command(request, client, "reload", _reload))


def _reload(path: Path) -> dict[str, Any]:
    answer = reload_run(path)
    if problems := answer.get("problems"):
        raise ApiError(HTTPStatus.CONFLICT, problems[0].partition("\n")[0], problems=problems)
    if "error" in answer:
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, " ".join(answer["error"].split()), {"Retry-After": "5"})
    return answer


async def _control(request: Request, client: Client, call: str, action: Action, party: str = "") -> CallState:
    command = partial(control_call, name=call, action=action, party=party)
    return CallState(**await run_command(request, client, action, command, call, party))


async def run_command(
    request: Request,
    client: Client,
    operation: str,
    command: Callable[[Path], dict[str, Any]],
    call: str = "",
    party: str = "",
) -> dict[str, Any]:
    """Carry out a command, and report it. Raises `ApiError`."""
    runner: CommandRunner = request.app.state.commands
    access: Access = request.app.state.access
    try:
        return await runner.run(client, operation, command, call, party)
    except Busy:
        status = HTTPStatus.SERVICE_UNAVAILABLE
        raise access.rejection("too_many_commands", request, status, {"Retry-After": "1"}) from None
