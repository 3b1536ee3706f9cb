"""The application of the admin API: its operations, access rules and errors."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from fastapi import Depends, FastAPI

from flowcore.admin import calls, controls, dashboard, ended_calls, listening, live, problems, status, streams
from flowcore.admin.access import Access, OnRejected, authorized, known_peer
from flowcore.admin.call_history import CallHistory
from flowcore.admin.command_runner import CommandRunner
from flowcore.admin.engine_client import EngineClient
from flowcore.admin.event_feed import EventFeed
from flowcore.admin.listen_tokens import ListenTokens
from flowcore.admin.query import documented_parameters
from flowcore.admin.settings import AdminSettings

DESCRIPTION = "Live calls, health, metrics, events, taps and control of a running flowcore."


def make_app(
    settings: AdminSettings,
    tokens: Mapping[str, str],
    engine: EngineClient,
    commands: CommandRunner,
    feed: EventFeed,
    history: CallHistory,
    graph: Mapping[str, Any],
    on_rejected: OnRejected,
) -> FastAPI:
    """Build the application. ``graph`` is what `flowcore.admin.description.describe` made."""
    app = FastAPI(
        title="flowcore",
        version=version("flowcore"),
        description=DESCRIPTION,
        docs_url=None,  # Swagger's page and ReDoc load their scripts from another site
        redoc_url=None,
        openapi_url=None,
    )
    app.state.access = Access(tokens, settings.proxies, bool(settings.cert), on_rejected)
    app.state.engine = engine
    app.state.commands = commands
    app.state.feed = feed
    app.state.history = history
    app.state.listen_tokens = ListenTokens()
    app.state.graph = graph
    app.state.metrics_texts = {}
    app.state.taps = set()
    app.state.tap_threads = ThreadPoolExecutor(streams.MAX_TAPS, "admin-tap")
    problems.install(app)
    app.include_router(
        status.health, dependencies=[Depends(known_peer)], responses=problems.responses(HTTPStatus.FORBIDDEN)
    )
    errors = problems.responses(*problems.OF_ALL_OPERATIONS)
    for router in (
        calls.router,
        controls.router,
        ended_calls.router,
        listening.issuing,
        live.router,
        streams.router,
        status.router,
    ):
        app.include_router(router, dependencies=[Depends(authorized), Depends(documented_parameters)], responses=errors)

    app.include_router(listening.router, dependencies=[Depends(known_peer)], responses=errors)
    app.include_router(dashboard.data, dependencies=[Depends(authorized)])
    app.include_router(dashboard.router, dependencies=[Depends(known_peer)])

    @app.get("/openapi.json", include_in_schema=False, dependencies=[Depends(known_peer)])
    async def document() -> dict[str, Any]:
        return problems.documented(app.openapi())

    return app
