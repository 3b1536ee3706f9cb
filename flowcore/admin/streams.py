"""Operations that stream: the events of the run, and taps on calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from flowcore.admin.access import Access, may_listen
from flowcore.admin.calls import CallId, Engine, find_call
from flowcore.admin.engine_client import EngineClient
from flowcore.admin.event_feed import EventFeed
from flowcore.admin.problems import ApiError, responses
from flowcore.admin.tap_stream import Form, TapStream
from flowcore.errors import UsageError

MAX_TAPS: Final = 16
"""Taps of the admin API at once, each with a thread."""
NO_STORE: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Headers of a stream: no cache and no proxy (the second is nginx') may hold it back."""

Result = TypeVar("Result")

router = APIRouter(prefix="/v1", tags=["streams"])

_TAP: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "audio/wav": {"schema": {"type": "string", "format": "binary"}},
            "application/x-ndjson": {"schema": {"type": "string"}},
        }
    }
}


class Stream(StreamingResponse):
    """A response without end. ``close`` is called when the client has left, or the content has ended."""

    def __init__(self, content: AsyncIterator[bytes], close: Callable[[], None], media_type: str) -> None:
        super().__init__(content, headers=NO_STORE, media_type=media_type)
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._close()


@router.get(
    "/events",
    summary="Follow the events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def events(
    request: Request,
    flow: Annotated[str, Query(description="Only the events of this flow.", max_length=256)] = "",
) -> StreamingResponse:
    """Stream the events of the run as server-sent events, from now on.

    Each has the fields of `flowcore run --log-json`. The ids count on: where one is missing, events were lost on the
    way. A reader that is 500 events behind is disconnected.
    """
    feed: EventFeed = request.app.state.feed
    reader = feed.open(flow)
    if reader is None:
        access: Access = request.app.state.access
        raise access.rejection("too_many_readers", request, HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "5"})
    return Stream(reader.frames(), lambda: feed.close(reader), "text/event-stream")


@router.get(
    "/calls/{call}/tap",
    summary="Listen to a node of a call",
    response_class=StreamingResponse,
    dependencies=[Depends(may_listen)],
    responses=_TAP | responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.BAD_REQUEST),
)
async def tap(
    request: Request,
    call: CallId,
    engine: Engine,
    node: Annotated[
        str,
        Query(description="`NODE` or `NODE.PORT`; left out, the first node that gives linear audio.", max_length=256),
    ] = "",
    track: Annotated[str, Query(description="Only this party: `agent` or `customer`.", max_length=256)] = "",
    form: Annotated[
        Literal["lines", "wav"],
        Query(alias="format", description="A line of JSON for each chunk: times and level, or words; or the audio."),
    ] = "lines",
) -> StreamingResponse:
    """Stream what a node of a live call gives, until the call ends.

    The call never waits for the client: chunks that it does not take in time are left out, and `lost` counts them.
    """
    flow = (await find_call(engine, call))["flow"]
    return await open_tap(
        request, engine, flow, node, track, form, "audio/wav" if form == "wav" else "application/x-ndjson"
    )


async def open_tap(
    request: Request, engine: EngineClient, flow: str, node: str, track: str, form: Form, media_type: str
) -> Stream:
    """Return the stream of a tap. Raises `ApiError` for a node that gives no such stream, and for one tap too many."""
    taps: set[TapStream] = request.app.state.taps
    if len(taps) >= MAX_TAPS:
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, f"{MAX_TAPS} taps are open already", {"Retry-After": "5"})
    threads: Executor = request.app.state.tap_threads
    try:
        stream = await _in_thread(threads, TapStream, engine.path, flow, node, track, form)
    except UsageError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, str(error)) from None
    taps.add(stream)

    def close() -> None:
        taps.discard(stream)
        threads.submit(stream.close)  # it waits for a `read` that goes on

    return Stream(_follow(threads, stream), close, media_type)


async def _follow(threads: Executor, stream: TapStream) -> AsyncIterator[bytes]:
    while (data := await _in_thread(threads, stream.read)) is not None:
        if data:
            yield data


async def _in_thread(threads: Executor, call: Callable[..., Result], *arguments: Any) -> Result:
    return await asyncio.get_running_loop().run_in_executor(threads, call, *arguments)
