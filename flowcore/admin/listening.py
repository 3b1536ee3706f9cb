"""Operations to listen to a call in a browser: a token for one call, and the audio that it opens once."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field

from flowcore.admin.access import Access, Client, may_listen
from flowcore.admin.calls import CallId, Engine, find_call
from flowcore.admin.controls import run_command
from flowcore.admin.listen_tokens import LIFETIME, Listening, ListenTokens
from flowcore.admin.problems import responses
from flowcore.admin.streams import open_tap

AUDIO = "application/x-flowcore-audio"

_AUDIO: dict[int | str, dict[str, Any]] = {
    200: {"content": {AUDIO: {"schema": {"type": "string", "format": "binary"}}}}
}


class ListenToken(BaseModel):
    """A token for the audio of one call."""

    token: str = Field(description="Opens the audio once, as `Authorization: Bearer TOKEN`.")
    seconds: float = Field(description="Seconds within which it must be used.")
    flow: str = Field(description="Flow of the call.")


issuing = APIRouter(prefix="/v1/calls", tags=["listening"])
router = APIRouter(prefix="/v1", tags=["listening"])
_bearer = HTTPBearer(auto_error=False, scheme_name="ListenToken", description="A token of `POST /v1/calls/ID/listen`.")


@issuing.post(
    "/{call}/listen",
    summary="Make a token for the audio of a call",
    responses=responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
)
async def make_token(
    request: Request,
    call: CallId,
    engine: Engine,
    client: Annotated[Client, Depends(may_listen)],
    node: Annotated[
        str, Query(description="`NODE` or `NODE.PORT`, as for a tap; left out, the first linear audio.", max_length=256)
    ] = "",
) -> ListenToken:
    """Return a token that a browser can have without the token of the API: it opens the audio of one call, once.

    The log says that somebody listens: `admin_command operation=listen`.
    """
    tokens: ListenTokens = request.app.state.listen_tokens
    flow = (await find_call(engine, call))["flow"]
    await run_command(request, client, "listen", lambda path: {"flow": flow}, call)
    return ListenToken(token=tokens.issue(Listening(flow, node), time.monotonic()), seconds=LIFETIME, flow=flow)


@router.get(
    "/audio",
    summary="Listen to a call",
    response_class=StreamingResponse,
    responses=_AUDIO | responses(HTTPStatus.BAD_REQUEST),
)
async def audio(
    request: Request, engine: Engine, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> StreamingResponse:
    """Stream the audio of the call of a listen token, until the call ends or the client leaves.

    Each chunk is a line of JSON (`track`, `start` in samples, `rate`, `encoding`, `channels`, `lost`, `bytes`), and
    then so many bytes of samples; the last line is `{"end": reason}`. Nothing is stored.
    """
    tokens: ListenTokens = request.app.state.listen_tokens
    listening = None if given is None else tokens.take(given.credentials, time.monotonic())
    if listening is None:
        access: Access = request.app.state.access
        raise access.rejection("listen_token", request, HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"})
    return await open_tap(request, engine, listening.flow, listening.node, "", "samples", AUDIO)
