"""Traces of ``flowcore run``, where the environment names a collector."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from flowcore.engine.bus import Bus
from flowcore.graph.plan import Plan
from flowcore.node import Extra
from flowcore.telemetry.trace_ids import TraceOf, traces_wanted


def traces(bus: Bus, plan: Plan) -> AbstractContextManager[TraceOf]:
    """Return a context in which each call is traced, if the environment says so. Raises `MissingExtra`."""
    if not traces_wanted():
        return nullcontext(lambda flow: "")
    Extra("opentelemetry.exporter.otlp.proto.http", "otel").check("sending traces (OTEL_EXPORTER_OTLP_ENDPOINT)")
    from flowcore.telemetry.traces import traced

    return traced(bus, Path(plan.name).name)
