"""``flowcore run``: run a graph until it is told to stop, or has had its calls."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from flowcore.cli.log import Log
from flowcore.engine.engine import Engine
from flowcore.graph.load import load
from flowcore.graph.negotiate import compile as compile_graph
from flowcore.units import Duration

Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="NODE.KEY=VALUE", help="Set a value of the graph; repeatable.")
]


def run(
    graph: Annotated[Path, typer.Argument(help="The graph file.", show_default=False)],
    settings: Settings = None,
    calls: Annotated[int | None, typer.Option(min=1, help="End after this many calls.", show_default=False)] = None,
    max_calls: Annotated[int, typer.Option(min=1, help="Refuse more calls than this at once.")] = 2000,
    slot: Annotated[str, typer.Option(help="How often the engine wakes; the most it adds to latency.")] = "20ms",
    drain: Annotated[str, typer.Option(help="How long a call may take to finish after its end.")] = "10s",
    log_json: Annotated[bool, typer.Option("--log-json", help="Log as JSON lines.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log warnings and errors only.")] = False,
) -> None:
    """Run a graph.

    Ctrl-C (or SIGTERM) ends the running calls in order, within 20 seconds; a second one ends at once.
    Exit code: 0 done, 1 a call failed, 2 the graph or the command line is wrong.
    """
    periods = [_seconds(slot, "--slot"), _seconds(drain, "--drain")]
    run_graph(graph, settings or [], Log(json=log_json, quiet=quiet), calls, max_calls, *periods)


def run_graph(
    graph: Path, settings: list[str], log: Log, calls: int | None, max_calls: int, slot: float, drain: float
) -> None:
    """Load, run, log, and exit with the code that the outcome deserves."""
    plan = compile_graph(load(graph, settings))
    engine = Engine(plan, calls=calls, max_calls=max_calls, slot=slot, drain=drain)
    engine.bus.subscribe(log.event)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_until_done(engine))
    log.close(engine.totals)
    raise typer.Exit(1 if engine.totals.failed else 0)


async def _until_done(engine: Engine) -> None:
    def asked_to_stop() -> None:
        if engine.draining:
            os._exit(1)  # asked twice: at once, without waiting for anything that may hang
        engine.bus.emit("stopping", calls=len(engine.flows))
        engine.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked_to_stop)
    await engine.run()


def new_loop() -> asyncio.AbstractEventLoop:
    """Uvloop's, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _seconds(text: str, option: str) -> float:
    try:
        return float(Duration(text))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
