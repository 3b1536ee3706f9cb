"""A running engine that can be asked, where commands look for one."""

from __future__ import annotations

import asyncio
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flowcore.control.address import directory
from flowcore.control.handler import engine_handler
from flowcore.control.hub import Command, Hub
from flowcore.control.run_live import RunLive
from flowcore.control.set_all import SetAll
from tests.support.live import PATIENCE, Live, until
from tests.support.phone import Phone


@contextmanager
def hub(live: Live, **commands: Command) -> Iterator[Path]:
    """The control socket of ``live``; set XDG_RUNTIME_DIR to a folder of the test before.

    ``commands`` are requests that the process answers itself; ``reload`` and ``set_all`` are there.
    """
    ready, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        opened = Hub(directory() / "1.sock")
        opened.handlers[1] = engine_handler(live.engine)
        calls = RunLive(live.engine, opened.handlers, live.engine.call_limit.share)
        own: dict[str, Command] = {"live": calls.page, "live_call": calls.call}
        own["set_all"] = SetAll(live.engine, opened.handlers, asyncio.Lock()).answer
        own["reload"] = lambda request: asyncio.to_thread(live.reload)
        opened.commands = {**own, **commands}
        await opened.open()
        ready.set()
        await asyncio.to_thread(stop.wait)
        await opened.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(PATIENCE)
        yield directory() / "1.sock"
    finally:
        stop.set()
        thread.join()


def call(live: Live, name: str) -> Phone:
    """A call that has begun."""
    phone = Phone(live.url, name)
    phone.start()
    until(lambda: any(flow.session.attributes["call_id"] == name for flow in tuple(live.engine.flows.values())))
    return phone


def ended_by_sigterm(*arguments: str, begun: Callable[[], bool] | None = None) -> tuple[int, str]:
    """Exit code and standard error of a command that gets SIGTERM after its first output, or once it has ``begun``."""
    command = [str(Path(sys.executable).with_name("flowcore")), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert begun or select.select([process.stdout], [], [], PATIENCE)[0]
            until(begun or (lambda: True))
        finally:
            process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=PATIENCE)
        return process.returncode, error
