"""The screens of top, driven by keys, over real runs with real calls."""

import asyncio
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
from contextlib import asynccontextmanager, contextmanager, suppress

import pytest
from textual.widgets import DataTable, Static

from flowcore.control.live_query import LiveQuery
from flowcore.top import base_screen, calls_screen, feed
from flowcore.top.app_screen import TopApp
from flowcore.top.call_screen import CallScreen
from flowcore.top.calls_screen import CallsScreen
from flowcore.top.dialogs_screen import Dialog
from flowcore.top.feed import Feed, Watched
from tests.support.asking import call, hub
from tests.support.live import PATIENCE, Live, until
from tests.support.phone import Phone
from tests.support.service import FLOWCORE

pytestmark = pytest.mark.slow

POLL = 0.02


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(feed, "INTERVAL", 0.1)


@contextmanager
def talking(live, *names):
    """Calls whose parties talk in real time."""
    phones = [Phone(live.url, name) for name in names]
    stopped = threading.Event()

    def talk():
        while not stopped.is_set():
            for number, phone in enumerate(phones):
                with suppress(OSError):
                    phone.talk(number, 0.2)
            stopped.wait(0.2)

    for phone in phones:
        phone.start()
    until(lambda: len(live.engine.flows) >= len(names))
    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield phones
    finally:
        stopped.set()
        thread.join()


@pytest.fixture
def live(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with Live("record", [f"wav.path={tmp_path}/{{call_id}}.wav"]) as live, hub(live) as live.control:
        yield live


class Screen:
    """What a user sees and types."""

    def __init__(self, app, pilot):
        self.app, self.pilot = app, pilot

    async def until(self, condition):
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await self.pilot.pause(POLL)

    async def press(self, *keys):
        await self.pilot.press(*keys)

    def lines(self):
        """The text on the screen, line by line."""
        return [
            "".join(segment.text for segment in strip).rstrip() for strip in self.app.screen._compositor.render_strips()
        ]

    def shows(self, text):
        return any(text in line for line in self.lines())

    async def sees(self, text):
        await self.until(lambda: self.shows(text))

    def row(self, name):
        """The row of a call."""
        place = self.app.screen.query_one(DataTable).region
        return next((line for line in self.lines()[place.y : place.bottom] if f" {name} " in line), "")

    def notes(self):
        return [notice.message for notice in self.app._notifications]


@asynccontextmanager
async def screen(control, size=(100, 30), **query):
    asked = LiveQuery(**{"limit": 200, **query})
    source = Feed(control)
    app = TopApp(source, asked, source.look(Watched(asked)))
    async with app.run_test(size=size, notifications=True) as pilot:
        shown = Screen(app, pilot)
        await shown.sees("started")
        yield shown


def test_calls_are_shown_with_levels_and_the_figures_of_the_run(live):
    async def main():
        with talking(live, "one", "two"):
            async with screen(live.control) as top:
                await top.until(lambda: "-" in top.row("one"))
                assert top.row("two").split()[:2] == ["two", "live"]
                assert top.shows("record.yaml")
                assert top.shows("2 of 2000 calls")
                await top.sees("flow_opened two")

    asyncio.run(main())


def test_the_cursor_stays_on_its_call_when_rows_move(live):
    async def main():
        with talking(live, "b", "c"):
            async with screen(live.control, sort="id") as top:
                await top.sees(" c ")
                await top.press("down")
                table = top.app.screen.query_one(DataTable)
                assert table.cursor_row == 1
                Phone(live.url, "a").start()
                await top.until(lambda: table.cursor_row == 2)
                assert top.app.screen.selected()["call_id"] == "c"

    asyncio.run(main())


def test_a_key_that_was_meant_for_a_call_that_ended_reaches_no_other(live, monkeypatch):
    monkeypatch.setattr(calls_screen, "GUARD", PATIENCE)

    async def main():
        first, _ = call(live, "b"), call(live, "c")
        async with screen(live.control, sort="id") as top:
            await top.sees(" c ")
            first.stop()
            first.hang_up()
            await top.until(lambda: not top.row("b"))
            await top.press("p")
            assert top.notes() == ["that call has ended: the cursor is on another one now"]
            (other,) = live.engine.flows.values()
            assert not other.silencing.paused
            monkeypatch.setattr(calls_screen, "GUARD", 0.0)
            await top.press("p")
            await top.until(lambda: other.silencing.paused)

    asyncio.run(main())


def test_a_call_is_paused_and_resumed_and_its_parties_muted(live):
    async def main():
        with talking(live, "one"):
            async with screen(live.control) as top:
                await top.press("p")
                await top.until(lambda: "paused" in top.row("one"))
                await top.until(lambda: "one: is paused" in top.notes())
                await top.press("p")
                await top.until(lambda: "live" in top.row("one"))
                await top.press("m")
                await top.sees("2 customer")
                await top.press("2")
                await top.until(lambda: "muted" in top.row("one"))
                assert next(iter(live.engine.flows.values())).silencing.muted == {"customer"}
                await top.press("m")
                await top.sees("2 customer (muted)")
                await top.press("escape", "m", "2")
                await top.until(lambda: "live" in top.row("one"))

    asyncio.run(main())


def test_a_call_ends_only_after_a_yes(live):
    async def main():
        with talking(live, "one"):
            async with screen(live.control) as top:
                await top.sees(" one ")
                await top.press("e")
                await top.sees("End call one after")
                await top.press("n")
                await top.until(lambda: not isinstance(top.app.screen, Dialog))
                await top.press("e", "x", "y")
                await top.sees("no live calls: waiting for one")
        assert live.named("flow_closed")[0].data["reason"] == "operator"

    asyncio.run(main())


def test_one_call_is_followed_node_by_node_until_it_ends(live):
    async def main():
        with talking(live, "one") as (phone,):
            async with screen(live.control) as top:
                await top.sees(" one ")
                await top.press("enter")
                await top.sees("wav (wav_file)")
                assert isinstance(top.app.screen, CallScreen)
                await top.sees("customer ")
                await top.press("p")
                await top.sees("filled in: paused")
                phone.stop()
                phone.hang_up()
                await top.sees("the call has ended: Esc goes back")
                await top.press("e")
                assert "the call has ended" in top.notes()
                await top.press("escape")
                await top.sees("no live calls")

    asyncio.run(main())


def test_a_filter_and_an_order_are_asked_for_by_keys(live):
    async def main():
        with talking(live, "alpha", "beta"):
            async with screen(live.control) as top:
                await top.sees(" beta ")
                await top.press("slash", *"ALPH", "enter")
                await top.until(lambda: not top.row("beta") and top.row("alpha"))
                assert top.shows("filter: ALPH")
                await top.press("slash", *"x", "enter")
                await top.sees("no call matches 'x': Esc shows all")
                await top.press("escape")
                await top.sees(" beta ")
                await top.press("s")
                await top.sees("by oldest")

    asyncio.run(main())


def test_pages_are_turned(live):
    async def main():
        for name in ("a", "b", "c"):
            Phone(live.url, name).start()
        until(lambda: len(live.engine.flows) == 3)
        async with screen(live.control, sort="id", limit=2) as top:
            await top.sees("1–2 of 3")
            await top.press("right_square_bracket")
            await top.sees("3–3 of 3")
            assert top.row("c")
            assert not top.row("a")
            await top.press("right_square_bracket", "left_square_bracket")
            await top.sees("1–2 of 3")

    asyncio.run(main())


def test_help_lists_every_key_in_any_size(live):
    async def main():
        async with screen(live.control, size=(80, 24)) as top:
            await top.press("question_mark")
            await top.sees("what the latest chunk waited")
            for key in ("Enter", "listen, or stop", "mute a party", "end the call", "a queue is over a quarter full"):
                assert top.shows(key)
            await top.press("q")
            await top.until(lambda: isinstance(top.app.screen, CallsScreen))
            await top.press("q")
            assert top.app.return_code == 0

    asyncio.run(main())


def test_40_columns_keep_what_matters(live):
    async def main():
        with talking(live, "0f2c7f54-7e2e-4bd5-9a94-c8c0fd3e2f11"):
            async with screen(live.control, size=(40, 12)) as top:
                await top.sees("0f2c7f54-")
                assert max(map(len, top.lines())) <= 40
                assert top.shows("live")
                assert not top.app.screen.query_one(".events", Static).display
                await top.pilot.resize_terminal(120, 30)
                await top.sees("0f2c7f54-7e2e-4bd5-9a94-c8c0fd3e2f11")
                await top.sees("latency")
                await top.press("v")
                await top.until(lambda: not top.app.screen.query_one(".events", Static).display)

    asyncio.run(main())


def test_200_calls(live):
    async def main():
        names = [f"call-{number:03}" for number in range(200)]
        phones = [Phone(live.url, name) for name in names]
        for phone in phones:
            phone.start()
        until(lambda: len(live.engine.flows) == 200)
        async with screen(live.control, size=(80, 24), sort="id") as top:
            await top.sees("200 of 2000 calls")
            assert top.app.screen.query_one(DataTable).row_count == 200
            await top.press("end")
            await top.sees("call-199")
            for phone in phones[::2]:
                phone.stop()
                phone.hang_up()
            await top.until(lambda: top.app.screen.query_one(DataTable).row_count == 100)
            assert top.app.screen.selected is not None

    asyncio.run(main())


def test_the_end_of_a_run_is_said_and_another_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    settings = [f"wav.path={tmp_path}/{{call_id}}.wav"]

    async def main():
        with Live("record", settings) as first, hub(first):
            top_open = screen(None)
            top = await top_open.__aenter__()
            await top.sees("0 of 2000 calls")
        try:
            await top.sees("the run has ended, or does not answer")
            await top.sees("no flowcore is running")
            await top.press("p", "l", "e", "m", "question_mark", "escape")  # nothing to be done for no call
            with Live("record", settings) as second, hub(second), talking(second, "again"):
                await top.sees(" again ")
                assert not top.shows("does not answer")
                assert "the run answers again" in top.notes()
        finally:
            await top_open.__aexit__(None, None, None)

    asyncio.run(main())


def test_listening_plays_the_call_and_says_why_it_cannot(live, monkeypatch):
    async def main():
        with talking(live, "one"):
            async with screen(live.control) as top:
                await top.sees(" one ")
                monkeypatch.setenv("PULSE_SERVER", "unix:/nonexistent")
                await top.press("l")
                await top.until(lambda: any("cannot play" in note for note in top.notes()))
                await top.until(lambda: top.app.listening is None)
                monkeypatch.setattr(base_screen, "can_play", lambda: False)
                await top.press("l")
                await top.sees("'flowcore[monitor]'")
                await top.press("p")
                await top.until(lambda: "paused" in top.row("one"))

    asyncio.run(main())


@pytest.mark.parametrize("end", ["ctrl+c", "SIGTERM"])
def test_ctrl_c_and_sigterm_end_it_silently(live, end):
    async def main():
        async with screen(live.control) as top:
            if end == "ctrl+c":
                await top.press("ctrl+c")
            else:
                signal.raise_signal(signal.SIGTERM)
            await top.until(lambda: not top.app.is_running or top.app._exit)
            return top.app.return_code

    assert asyncio.run(main()) == (0 if end == "ctrl+c" else 128 + signal.SIGTERM)


class Terminal:
    """A real terminal of 80 x 24 in which ``command`` runs, and what came out of it."""

    def __init__(self, *command):
        self.terminal, theirs = pty.openpty()
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(self.terminal)
        self.output = b""
        self.process = subprocess.Popen(
            list(map(str, command)),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self._theirs = theirs

    def sees(self, text):
        """Wait until this comes out, after all that was seen before."""
        while text not in self.output:
            assert select.select([self.terminal], [], [], PATIENCE)[0], self.output[-500:]
            self.output += os.read(self.terminal, 65536)
        self.output = self.output.partition(text)[2]

    def types(self, keys):
        os.write(self.terminal, keys)

    def ended(self):
        """The exit code, and the last output."""
        while self.process.poll() is None or select.select([self.terminal], [], [], 0)[0]:
            if select.select([self.terminal], [], [], POLL)[0]:
                self.output += os.read(self.terminal, 65536)
        os.close(self._theirs)
        return self.process.returncode, self.output


@pytest.mark.parametrize(("end", "code"), [(b"\x03", 0), (b"q", 0), (signal.SIGTERM, 143)])
def test_a_real_terminal_is_as_before_afterwards(live, end, code):
    call(live, "one")
    shown = Terminal(FLOWCORE, "top", "--control", live.control)
    shown.sees(b"\x1b[?1049h")  # the alternate screen
    shown.sees(b"flow_opened")
    shown.process.send_signal(end) if isinstance(end, signal.Signals) else shown.types(end)
    exit_code, output = shown.ended()
    assert exit_code == code
    left = output.rpartition(b"\x1b[?1049l")[2]
    assert left != output
    assert b"Traceback" not in output
    assert b"error" not in left
    assert termios.tcgetattr(shown.terminal)[:4] == shown.before[:4]


WITHOUT_SOUND = "import sys; sys.modules['sounddevice'] = None; from flowcore.cli import main; main(sys.argv[1:])"


def test_without_a_sound_card_listening_shows_the_meter_and_ctrl_c_goes_back(live):
    with talking(live, "one"):
        shown = Terminal(sys.executable, "-c", WITHOUT_SOUND, "top", "--control", live.control)
        shown.sees(b"flow_opened")
        shown.types(b"l")
        shown.sees(b"-60")  # the scale of the meter
        shown.types(b"\x03")
        shown.sees(b"\x1b[?1049h")
        shown.sees(b"flow_opened")
        shown.types(b"q")
        code, output = shown.ended()
        assert code == 0
        assert b"Traceback" not in output
