"""Health, metrics, the version and the graph of the run."""

from __future__ import annotations

import asyncio
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel, Field

from flowcore.admin.access import Authorized, Scope
from flowcore.admin.calls import Engine, ask
from flowcore.admin.engine_client import EngineClient
from flowcore.admin.problems import ApiError
from flowcore.control.shared_answer import SharedAnswer
from flowcore.errors import UsageError
from flowcore.telemetry.exposition import OPENMETRICS, text_of

health = APIRouter(tags=["health"])
router = APIRouter(tags=["run"])

TEXT_MAX_AGE: Final = 1.0
"""Seconds for which scrapers share a text. The values in it may be older: `flowcore.control.run_metrics.MAX_AGE`."""
_REFUSED: dict[int | str, dict[str, Any]] = {
    HTTPStatus.SERVICE_UNAVAILABLE.value: {
        "description": "No; the body is the reason.",
        "content": {"text/plain": {"example": "stopping\n"}},
    }
}


class Version(BaseModel):
    """Versions of flowcore and of the graph."""

    flowcore: str = Field(description="Version of flowcore.", examples=["0.1.0"])
    graph: str = Field(description="Path of the graph file.", examples=["graphs/record.yaml"])
    graph_sha256: str = Field(description="SHA-256 of the graph's files and settings, as in the call log.")


class Rights(BaseModel):
    """What a client may do."""

    token: str = Field(description="Name of its token: `admin` or `read`; empty where the run has no token.")
    scopes: list[Scope] = Field(description="`read`; `listen`: taps; `control`: end, pause, mute, drain, reload.")


class Graph(Version):
    """The graph of the run."""

    text: str = Field(description="The graph file, without the values of the environment.")
    plan: dict[str, Any] = Field(description="The plan, as `flowcore explain --json` prints it.")


class ProcessCapacity(BaseModel):
    """How many more calls a process could take."""

    worker: int = Field(description="Number of the worker.")
    calls: int = Field(description="Its live calls.")
    until_full: int = Field(description="Calls that it could still take: the least of `room`; 0 while it drains.")
    limited_by: str = Field(description="The resource that would be full first.", examples=["decoders"])
    room: dict[str, int] = Field(
        description="Calls that each resource has still room for; absent where nothing is known yet.",
        examples=[{"call_limit": 1988, "event_loop": 410, "decoders": 30}],
    )


class Capacity(BaseModel):
    """How many more calls the run could take."""

    calls: int = Field(description="Live calls.")
    until_full: int = Field(description="Calls that it could still take: the sum of its processes.")
    limited_by: str = Field(description="The resource that would be full first, of the process with the least room.")
    workers: list[ProcessCapacity]
    missing: list[int] = Field(description="Workers that did not answer within 2 seconds: they are not counted.")


@health.get("/healthz", summary="Is the process alive?", response_class=PlainTextResponse, responses=_REFUSED)
async def alive(engine: Engine) -> PlainTextResponse:
    """Return 200 while the engine, or a worker at least, answers requests."""
    return _answer("" if await _objections(engine) else "no_answer")


@health.get("/readyz", summary="Would it take a call?", response_class=PlainTextResponse, responses=_REFUSED)
async def ready(engine: Engine) -> PlainTextResponse:
    """Return 200 while a new call would be taken, and could be recorded; else 503 with the reason in one word."""
    reasons = await _objections(engine) or ["no_answer"]
    return _answer("" if "" in reasons else reasons[0])


async def _objections(engine: EngineClient) -> list[str]:
    """Return why each worker that answers would take no call; empty strings for those that would."""
    try:
        answers, _ = await engine.ask({"ask": "not_ready"})
    except UsageError:
        return []
    return list(answers.values())


def _answer(reason: str) -> PlainTextResponse:
    status = HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK
    return PlainTextResponse(f"{reason or 'ok'}\n", status)


@router.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
async def metrics(request: Request, engine: Engine) -> Response:
    """Return the metrics of all workers together, in the text format of Prometheus or in OpenMetrics."""
    accepted = OPENMETRICS if OPENMETRICS in request.headers.get("accept", "") else ""
    texts: dict[str, SharedAnswer[tuple[bytes, str]]] = request.app.state.metrics_texts
    if accepted not in texts:
        texts[accepted] = SharedAnswer(partial(_metrics_text, engine, accepted), TEXT_MAX_AGE)
    text, media_type = await texts[accepted].get()
    return Response(text, media_type=media_type)


async def _metrics_text(engine: EngineClient, accept: str) -> tuple[bytes, str]:
    answers, _ = await ask(engine, {"ask": "metrics"})
    return await asyncio.to_thread(text_of, answers[0], accept)


@router.get("/v1/capacity", summary="How many more calls could it take?")
async def capacity(engine: Engine) -> Capacity:
    """Return the calls until full, estimated from what live calls use, by process and resource."""
    answers, missing = await ask(engine, {"ask": "capacity"})
    if not answers:
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "no worker gave an answer", {"Retry-After": "1"})
    workers = [ProcessCapacity(worker=number, **answer) for number, answer in sorted(answers.items())]
    return Capacity(
        calls=sum(one.calls for one in workers),
        until_full=sum(one.until_full for one in workers),
        limited_by=min(workers, key=lambda one: one.until_full).limited_by,
        workers=workers,
        missing=missing,
    )


@router.get("/v1/access", summary="What may the token do?")
async def access(client: Authorized) -> Rights:
    """Return what the token of this request may do, so that a page shows no more."""
    return Rights(token=client.token, scopes=list(client.scopes))


@router.get("/v1/version", summary="Show the versions")
async def version(request: Request) -> Version:
    """Return the versions of flowcore and of the graph."""
    return Version(**_graph(request))


@router.get("/v1/graph", summary="Show the graph and its plan")
async def graph(request: Request) -> Graph:
    """Return the graph's file and plan."""
    return Graph(**_graph(request))


@router.get(
    "/v1/graph/picture",
    summary="Draw the graph",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {"schema": {"type": "string"}}}}},
)
async def picture(request: Request) -> Response:
    """Return the picture of `flowcore graph`, as SVG."""
    return Response(_graph(request)["picture"], media_type="image/svg+xml")


def _graph(request: Request) -> dict[str, Any]:
    described: dict[str, Any] = request.app.state.graph
    return described
