"""Health, metrics, the version and the graph of the run."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel, Field

from flowcore.admin.access import Authorized, Scope
from flowcore.admin.calls import Engine, ask
from flowcore.admin.engine_client import EngineClient
from flowcore.errors import UsageError

health = APIRouter(tags=["health"])
router = APIRouter(tags=["run"])

OPENMETRICS: Final = "application/openmetrics-text"
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
    answers, _ = await ask(engine, {"ask": "metrics", "accept": accepted})
    version = "1.0.0" if accepted else "0.0.4"  # of the two formats that prometheus-client writes
    return Response(answers[0], media_type=f"{accepted or 'text/plain'}; version={version}; charset=utf-8")


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
