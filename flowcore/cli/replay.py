"""``flowcore replay``: play a recorded call through a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from flowcore.cli.log import Log
from flowcore.cli.options import GraphFile, LogJson, Quiet, Settings, parse_seconds, plan_of, try_to_write
from flowcore.cli.run import run_engine
from flowcore.engine.bus import Bus
from flowcore.engine.engine import Engine
from flowcore.scenario.replay import run_virtual, with_recording
from flowcore.scenario.replay_record import record_work
from flowcore.telemetry.perfetto_file import PerfettoFile

MAX_SPEED = "max"


def replay(
    recording: Annotated[
        Path,
        typer.Argument(
            metavar="RECORDING", help="A file of `flowcore capture` or `flowcore doctor`.", exists=True, dir_okay=False
        ),
    ],
    graph: GraphFile,
    settings: Settings = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the files of the graph go.", file_okay=False)
    ] = Path("replay"),
    speed: Annotated[
        str, typer.Option(metavar="max|N", help="Times the recorded pace; max: on a virtual clock, without waiting.")
    ] = MAX_SPEED,
    perfetto: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write what each node did and when, for https://ui.perfetto.dev.", dir_okay=False
        ),
    ] = None,
    drain: Annotated[str, typer.Option(help="How long the call may take to finish after it ended.")] = "10s",
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Play a recorded call through a graph.

    It takes the place of the graph's listener.

    At --speed max the same recording and the same graph give the same files, byte by byte. The files of each call go
    below --output, whatever path they have in the graph; no port is opened. Services that a graph asks are asked again.

    Exit code: 0 done and nothing lost, 1 the call failed or lost audio, 2 the recording, graph or an option is wrong.
    """
    real = speed != MAX_SPEED
    seconds = parse_seconds(drain, "--drain")
    plan, recorded = with_recording(plan_of(graph, settings or []), recording, output, _pace(speed) if real else 1.0)
    log = Log(as_json=log_json, quiet=quiet)
    bus = Bus()
    bus.subscribe(log.event)
    with _recorded_work(perfetto, virtual=not real) as observe:
        if real:
            run_engine(plan, log, bus=bus, drain=seconds, observe=observe)
        totals = run_virtual(plan, bus, recorded, seconds, observe).engine.totals
    log.close(totals)
    raise typer.Exit(totals.exit_code)


@contextmanager
def _recorded_work(path: Path | None, *, virtual: bool) -> Iterator[Callable[[Engine], None]]:
    """Yield what lets an engine write its work to a file, if one is given."""
    if path is None:
        yield lambda engine: None
        return
    try_to_write(path, "--perfetto")
    with PerfettoFile(path) as file:
        yield lambda engine: record_work(engine, file, virtual=virtual)


def _pace(text: str) -> float:
    try:
        if 0 < (pace := float(text)) < float("inf"):
            return pace
    except ValueError:
        pass
    raise typer.BadParameter("give a number above 0, or max", param_hint="--speed")
