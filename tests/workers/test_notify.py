"""What systemd hears: ready, alive while the engine is, stopping."""

import asyncio
import socket
import threading

import pytest

from flowcore import Audio, Sink, node
from flowcore.engine.bus import Bus
from flowcore.engine.engine import Engine
from flowcore.engine.watchdog import LOOP_TIMEOUT
from flowcore.workers import notify
from flowcore.workers.notify import Notifier, SupervisorNotifier
from tests.engine.nodes import Tones, plan, step

FREED = threading.Event()


@node("freezes")
class Freezes(Sink[Audio]):
    """Holds up its thread until it is freed."""

    def process(self, chunk: Audio) -> None:
        assert FREED.wait(60)


class FreezesInThread(Freezes):
    """The same behind a border."""

    name = "freezes_in_thread"
    runs = "thread"


@pytest.fixture
def manager(tmp_path):
    """The service manager's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(0.0)
        yield heard


def environ(manager, seconds):
    return {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": str(round(seconds * 1e6))}


def waiting(manager):
    """All that was said so far."""
    said = []
    while True:
        try:
            said.append(manager.recv(100).decode())
        except BlockingIOError:
            return said


@pytest.mark.fault(33)
def test_ready_alive_and_stopping_are_said(manager):
    engine = Engine(plan(step("call", Tones, length="300ms", pace=True), step("end", FreezesInThread, "call")))
    FREED.set()
    Notifier(engine, environ(manager, 0.04))
    engine.announce("calls", "ws://x/")
    engine.bus.emit("stop_requested")
    asyncio.run(engine.run())
    said = waiting(manager)
    assert said[0] == "READY=1" or "READY=1" in said[:3]
    # One for every second slot at least; how many slots there were is the machine's affair, and no socket takes more.
    assert said.count("WATCHDOG=1") >= min(engine.slots.count // 2, 4)
    assert "STOPPING=1" in said


@pytest.mark.fault(33)
@pytest.mark.parametrize("cls", [Freezes, FreezesInThread])
@pytest.mark.slow
def test_no_heartbeat_while_the_loop_or_a_thread_hangs(manager, monkeypatch, cls):
    monkeypatch.setattr(notify, "STUCK_TIMEOUT", 0.1)
    FREED.clear()
    engine = Engine(plan(step("call", Tones), step("end", cls, "call")))
    Notifier(engine, environ(manager, 0.04))
    counts: list[int] = []

    def free_when_silent() -> None:
        heard = threading.Event()
        while len(counts) < 2 or counts[-1]:  # until a whole while passed without a beat
            heard.wait(LOOP_TIMEOUT)
            counts.append(waiting(manager).count("WATCHDOG=1"))
        FREED.set()

    listening = threading.Thread(target=free_when_silent)
    listening.start()
    asyncio.run(engine.run())
    listening.join(60)
    assert counts[-1] == 0
    assert engine.totals.failed == 0


def test_without_a_manager_nothing_is_sent_and_nothing_asked():
    engine = Engine(plan(step("call", Tones), step("end", Freezes, "call")))
    FREED.set()
    Notifier(engine, {})
    asyncio.run(engine.run())
    assert engine.totals.flows == 1


@pytest.mark.fault(33)
def test_no_heartbeat_of_a_supervisor_while_a_worker_hangs(manager):
    silence = 0.0

    async def beats():
        nonlocal silence
        SupervisorNotifier(lambda: silence, Bus(), environ(manager, 0.02))
        alive: list[str] = []
        while alive.count("WATCHDOG=1") <= 3:  # which a busy machine may be long about
            await asyncio.sleep(0.02)
            alive += waiting(manager)
        silence = notify.STUCK_TIMEOUT + 1
        await asyncio.sleep(0.2)
        return waiting(manager)

    hung = asyncio.run(beats())
    assert hung.count("WATCHDOG=1") <= 1
