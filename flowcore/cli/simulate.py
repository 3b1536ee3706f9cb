"""``flowcore simulate``: send simulated calls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flowcore.cli.log import Log
from flowcore.cli.options import LogJson, Quiet, plan_of
from flowcore.cli.run import run_engine
from flowcore.engine.bus import Bus
from flowcore.errors import UsageError

GRAPH = "simulate.yaml"
GRPC_GRAPH = "simulate_grpc.yaml"


def simulate(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="The receiver, as `flowcore run` prints it: ws://127.0.0.1:3333/")
    ],
    agent: Annotated[
        Path,
        typer.Option(
            help="WAV file with the agent's voice; of a stereo file, the left channel.", exists=True, dir_okay=False
        ),
    ],
    caller: Annotated[
        Path,
        typer.Option(
            help="WAV file with the caller's voice; of a stereo file, the right channel.", exists=True, dir_okay=False
        ),
    ],
    calls: Annotated[int, typer.Option(min=1, help="Number of simultaneous calls.")] = 1,
    speed: Annotated[float, typer.Option(min=0, help="1: real time, 2: twice as fast, 0: as fast as possible.")] = 1.0,
    grpc: Annotated[
        bool, typer.Option("--grpc", help="Use gRPC; also chosen by a URL like grpc://127.0.0.1:3333.")
    ] = False,
    chaos: Annotated[
        str,
        typer.Option(
            metavar="seed=N[,KIND…]",
            help="Inject faults chosen by the seed, or of these kinds: dialect, no_stop, no_start, hold, transfer, "
            "garbage, slow, half_open. The same seed repeats the same faults; the log names them.",
        ),
    ] = "",
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Send simulated RingCX calls with two recorded voices.

    To play a stereo recording again, give it as --agent and as --caller.

    Runs graphs/simulate.yaml or graphs/simulate_grpc.yaml: copy that file to build your own calls.

    Exit code: 0 done, 1 a call failed, 2 the command line is wrong.
    """
    over_grpc = grpc or url.startswith("grpc")
    if not over_grpc and not url.startswith(("ws://", "wss://")):
        raise typer.BadParameter(f"{url} is not an address: write it like ws://127.0.0.1:3333/", param_hint="URL")
    settings = [f"voices.agent={_quoted(agent)}", f"voices.customer={_quoted(caller)}"]
    settings += [f"voices.calls={calls}", f"voices.speed={speed}", f"call.url={_quoted(url)}"]
    if chaos:
        settings.append(f"call.chaos={_quoted(chaos)}")
    log = Log(as_json=log_json, quiet=quiet)
    bus = Bus()
    bus.subscribe(log.event)
    graph = GRPC_GRAPH if over_grpc else GRAPH
    run_engine(plan_of(shipped(graph), settings), log, bus=bus, max_calls=calls)


def _quoted(text: object) -> str:
    """Return ``text`` as a YAML scalar."""
    return "'" + str(text).replace("'", "''") + "'"


def shipped(name: str) -> Path:
    """Return the path of a graph of flowcore: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    for folder in (package / "graphs", package.parent / "graphs"):
        if (folder / name).is_file():
            return folder / name
    raise UsageError(f"{name} is missing from this installation: install flowcore again")
