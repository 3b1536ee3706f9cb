"""A recorded session, played through a graph in the place of its listener.

On a virtual clock the same recording and the same graph give the same files: time stands still while a thread, such as
that of a speech model, works on a result.
"""

from __future__ import annotations

import importlib
import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from flowcore.engine.bus import Bus
from flowcore.engine.clock import VirtualClock
from flowcore.engine.engine import Engine
from flowcore.errors import UsageError
from flowcore.graph.plan import Plan
from flowcore.listener import Listener
from flowcore.node import Config
from flowcore.paths import PathTemplate
from flowcore.testing.graphs import GraphResult, run_plan
from flowcore.testing.threads import VirtualPool

RESULT_TIMEOUT = 600.0
"""Real seconds after which virtual time goes on without the result of a thread, which may hang."""


class Player(Protocol):
    """A module that a listener names as ``tools.player``."""

    def play(self, path: Path, config: Any, speed: float) -> tuple[type[Listener[Any, Any]], Config, datetime]:
        """Return what plays the recording at ``path`` at ``speed`` (0: as fast as possible), and when it was made.

        ``config`` is that of the graph's listener. Raises `UsageError` for a file that is no recording.
        """


def with_recording(plan: Plan, path: Path, folder: Path, speed: float) -> tuple[Plan, datetime]:
    """Return the plan with a player of the recording, whose files go to ``folder``; and the time of the recording.

    Raises `UsageError` for a listener without recordings, a file that is no recording, and a folder with braces.
    """
    if set("{}") & set(str(folder)):
        raise UsageError(f"{folder}: files are named by templates, so give --output a folder without braces")
    listener = plan.listener
    if not listener.cls.tools.player:
        raise UsageError(
            f"{listener.name} ({listener.cls.name}) has no recordings: replay a graph that begins with ringcx"
        )
    player: Player = importlib.import_module(listener.cls.tools.player)
    cls, config, recorded = player.play(path, listener.config, speed)
    nodes = {name: replace(node, config=_into(folder, node.config)) for name, node in plan.nodes.items()}
    nodes[listener.name] = replace(listener, cls=cls, config=config)
    return replace(plan, nodes=nodes), recorded


def run_virtual(
    plan: Plan, bus: Bus, recorded: datetime, drain: float, observe: Callable[[Engine], None] = lambda engine: None
) -> GraphResult:
    """Run the plan of a replay as fast as possible, on a clock that begins at ``recorded``. See `run_plan`.

    ``observe`` is called with the engine before it runs.
    """
    clock = VirtualClock(wall=recorded)
    numbers = itertools.count(1)

    def prepare(engine: Engine) -> None:
        clock.hold(_while_working(engine))
        observe(engine)

    return run_plan(
        plan,
        clock=clock,
        bus=bus,
        pool=VirtualPool(),
        recover=False,
        prepare=prepare,
        drain=drain,
        strict=False,
        new_id=lambda: f"{next(numbers):08x}",
    )


def _while_working(engine: Engine) -> Callable[[], bool]:
    """Return whether a thread of a node works on a result, for `RESULT_TIMEOUT` at most."""
    waits_until = [0.0]

    def working() -> bool:
        if not any(chain.awaits_results() for flow in engine.flows.values() for chain in flow.chains):
            waits_until[0] = time.monotonic() + RESULT_TIMEOUT
            return False
        return time.monotonic() < waits_until[0]

    return working


def _into(folder: Path, config: Any) -> Any:
    """Return the config with the paths of its files for each session below ``folder``."""
    paths = {name: value for name, value in dict(config).items() if isinstance(value, PathTemplate)}
    return config.model_copy(update={name: PathTemplate(f"{folder}/{_below(path)}") for name, path in paths.items()})


def _below(path: str) -> str:
    return "/".join(part for part in path.split("/") if part not in ("", ".", "..", "~"))
