"""A real engine beside the test: its own thread, event loop, clock, sockets and files."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from flowcore.engine.bus import Event
from flowcore.engine.engine import Engine
from flowcore.engine.reloader import Reloader
from flowcore.graph.load import load
from flowcore.graph.model import Graph
from flowcore.graph.negotiate import compile_graph
from flowcore.graph.plan import Plan

ROOT = Path(__file__).parents[2]
PATIENCE = 60
"""Seconds until a test that waits for something gives up."""


def until(condition: Callable[[], Any]) -> None:
    """Wait for something that another thread brings about."""
    waited = threading.Event()
    for _ in range(PATIENCE * 200):
        if condition():
            return
        waited.wait(0.005)
    raise TimeoutError(f"it did not happen within {PATIENCE} s")


class Live:
    """``with Live("record", ["wav.path=…"], calls=3) as live:`` runs graphs/record.yaml on a free port at ``live.url``.

    Leaving the block waits for the engine's end (asking it to stop first, unless ``calls`` ends it), raises what it
    raised, and checks that no book was out of balance. ``change`` makes another plan of the graph's.

    Calls of tests say all at once, and keep no time: what a busy machine makes of that is no pause of theirs, so pauses
    are left out of what comes behind a node ``ordered``, unless a setting of it says otherwise.
    """

    def __init__(
        self,
        graph: str,
        settings: Iterable[str] = (),
        *,
        calls: int | None = None,
        change: Callable[[Plan], Plan] = lambda plan: plan,
        **options: Any,
    ) -> None:
        path = ROOT / "graphs" / f"{graph}.yaml"
        timeless = ["ordered.hold=collapse"] * ("\n  ordered:" in path.read_text())

        self.settings = tuple(settings)
        """Settings of the graph, also of the next `reload`."""

        def read() -> tuple[Graph, Plan]:
            graph = load(path, ["call.port=0", *timeless, *self.settings])
            return graph, change(compile_graph(graph))

        self._read = read
        self.plan = read()[1]
        self.calls = calls
        self.options = options
        self.events: list[Event] = []
        self.url = ""
        self.engine: Engine
        self._loop: asyncio.AbstractEventLoop
        self._error: BaseException | None = None
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-engine")

    def __enter__(self) -> Live:
        self._thread.start()
        assert self._listening.wait(PATIENCE)
        if self._error:
            self._thread.join()
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.calls is None or error is not None:
            self._loop.call_soon_threadsafe(self.engine.stop)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        if self._error:
            raise self._error
        assert not self.named("flow_unbalanced")

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as caught:  # handed over to the test's thread
            self._error = caught
        finally:
            self._listening.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.engine = Engine(self.plan, calls=self.calls, strict=True, **self.options)
        self.engine.bus.subscribe(self._heard)
        self._reloader = Reloader(self.engine, self._read)
        await self.engine.run()

    def _heard(self, event: Event) -> None:
        self.events.append(event)
        if event.name == "listener_opened":
            self.url = event.data["address"]
            self._listening.set()

    @property
    def upstream(self) -> str:
        """The listener's HOST:PORT, as a proxy in front names it."""
        return self.url.partition("://")[2].rstrip("/")

    def call(self, function: Callable[[], None]) -> None:
        """Call it in the engine's thread, and wait until that is done."""
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (function(), done.set()))
        assert done.wait(PATIENCE)

    def reload(self) -> dict[str, Any]:
        """Reload the graph, and return the answer."""
        return asyncio.run_coroutine_threadsafe(self._reloader.reload(), self._loop).result(PATIENCE)

    def named(self, name: str) -> list[Event]:
        """The events of one name so far."""
        return [event for event in self.events if event.name == name]

    def dropped(self) -> dict[str, int]:
        """Chunks dropped anywhere, by reason, after the end."""
        reasons: dict[str, int] = {}
        for stats in self.engine.totals.nodes.values():
            for reason, tally in stats.dropped.items():
                reasons[reason] = reasons.get(reason, 0) + tally.chunks
        return reasons
