import io
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcore import Session, Text
from flowcore.testing import SESSION, NodeHarness
from nodes.sinks.console import MAX_WAITING_FINALS, Console, Screen

COLUMNS, ROWS = 60, 10


class Terminal(io.StringIO):
    """A terminal that knows as much of ECMA-48 as the console uses."""

    def isatty(self) -> bool:
        return True

    def rows(self) -> list[str]:
        """What stands on it, with the rows that have scrolled up."""
        rows, row, column = [""], 0, 0
        for token in re.findall(r"\x1b\[[\d;]*[A-Za-z]|[^\x1b]", self.getvalue()):
            if token == "\r":
                column = 0
            elif token == "\n":
                row, column = row + 1, 0
                rows += [""] * (row + 1 - len(rows))
            elif token == "\x1b[J":
                rows[row] = rows[row][:column]
                del rows[row + 1 :]
            elif re.fullmatch(r"\x1b\[\d+A", token):
                row -= int(token[2:-1])
                assert row >= 0
            elif not token.startswith("\x1b"):
                rows[row] = rows[row][:column] + token + rows[row][column + 1 :]
                column += 1
        return rows if rows[-1] else rows[:-1]


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setenv("LINES", str(ROWS))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def screen_on(stream: io.StringIO) -> Screen:
    screen = Screen(stream)
    screen.open()
    return screen


def console(screen: Screen, flow: str = "test-flow") -> NodeHarness:
    return NodeHarness(Console, session=Session(flow, SESSION.started), resource=screen)


def said(text: str, *, track: str = "agent", start: float = 12.34, final: bool = True) -> Text:
    return Text(track, start, start + 1, text, final, 0)


def test_pipe_gets_a_plain_line_for_each_final_and_no_interim():
    pipe = io.StringIO()
    console(screen_on(pipe)).push(said("hel", final=False), said("hello"), said("hi", track="customer", start=75)).end()
    assert pipe.getvalue() == "[00:12.3] agent: hello\n[01:15.0] customer: hi\n"


def test_dumb_terminal_is_treated_as_a_pipe(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    terminal = Terminal()
    console(screen_on(terminal)).push(said("hel", final=False), said("hello")).end()
    assert terminal.getvalue() == "[00:12.3] agent: hello\n"


def test_interim_is_replaced_in_place_by_its_final():
    terminal = Terminal()
    harness = console(screen_on(terminal)).push(said("hel", final=False))
    assert terminal.rows() == ["", "[00:12.3] agent: hel"]
    harness.push(said("hello wor", final=False))
    assert terminal.rows() == ["", "[00:12.3] agent: hello wor"]
    harness.push(said("Hello."))
    assert terminal.rows() == ["[00:12.3] agent: Hello."]


def test_both_parties_speak_at_once_on_a_line_each_below_the_finals():
    terminal = Terminal()
    console(screen_on(terminal)).push(
        said("yes", final=False), said("no", track="customer", final=False), said("before", track="customer", start=1)
    ).push(said("but", track="customer", final=False))
    assert terminal.rows() == ["[00:01.0] customer: before", "", "[00:12.3] agent: yes", "[00:12.3] customer: but"]


def test_each_party_has_its_colour_and_no_color_is_respected(monkeypatch):
    texts = [said("a"), said("b", track="customer"), said("c", track="bot"), said("d", final=False)]
    coloured, plain = Terminal(), Terminal()
    console(screen_on(coloured)).push(*texts)
    assert re.findall(r"\x1b\[([\d;]+)m\[", coloured.getvalue()) == ["36", "33", "35", "2;36"]
    monkeypatch.setenv("NO_COLOR", "1")
    console(screen_on(plain)).push(*texts)
    assert "m" not in re.findall(r"\x1b\[[\d;]*([A-Za-z])", plain.getvalue())
    assert plain.rows() == coloured.rows()


def test_flows_are_told_apart_from_the_second_one_on_until_none_is_open():
    pipe = io.StringIO()
    screen = screen_on(pipe)
    first, second = console(screen, "20260102T030405-ab12"), console(screen, "20260102T030406-cd34")
    first.push(said("one"))
    second.push(said("two")).end()
    first.push(said("three")).end()
    console(screen, "20260102T030407-ef56").push(said("four")).end()
    expected = ["ab12 agent: one", "cd34 agent: two", "ab12 agent: three", "agent: four"]
    expected = [f"[00:12.3] {line}" for line in expected]
    assert pipe.getvalue().splitlines() == expected


def test_interim_of_a_flow_that_ends_goes_and_the_others_stay():
    terminal = Terminal()
    screen = screen_on(terminal)
    first, second = console(screen, "flow-1"), console(screen, "flow-2")
    first.push(said("one", final=False))
    second.push(said("two", final=False))
    first.end()
    assert terminal.rows() == ["", "[00:12.3] 2 agent: two"]


def test_control_characters_reach_no_terminal():
    terminal = Terminal()
    console(screen_on(terminal)).push(
        said("a\x1b[2Jb\r\nc\x9b31m\u202ed\u2028e\0"), said("x", track="\x1b]0;title\x07")
    )
    assert terminal.rows() == ["[00:12.3] agent: a [2Jb c 31md e", "[00:12.3] ]0;title: x"]


def test_long_interim_shows_its_end_on_one_row():
    terminal = Terminal()
    console(screen_on(terminal)).push(said(" ".join(f"word{n}" for n in range(30)), final=False))
    _, row = terminal.rows()
    assert len(row) == COLUMNS - 1
    assert row.startswith("[00:12.3] agent: …")
    assert row.endswith("word28 word29")


def test_wide_characters_count_two_cells():
    terminal = Terminal()
    console(screen_on(terminal)).push(said("你好" * 30, final=False))
    _, row = terminal.rows()
    assert len(row) == 18 + (COLUMNS - 1 - 18) // 2


def test_more_live_lines_than_rows_show_the_newest():
    terminal = Terminal()
    screen = screen_on(terminal)
    for number in range(20):
        console(screen, f"flow-{number}").push(said("hm", final=False))
    assert [row.split()[1] for row in terminal.rows()[1:]] == [str(number) for number in range(20 - (ROWS - 1), 20)]


def test_log_line_between_two_pictures_stays_whole():
    terminal = Terminal()
    harness = console(screen_on(terminal)).push(said("a long interim", final=False))
    terminal.write("a log line of another\n")
    harness.push(said("done"))
    assert terminal.rows() == ["a log line of another", "[00:12.3] agent: done"]


events = st.tuples(st.sampled_from(["f-1", "f-2", "f-3"]), st.sampled_from(["agent", "customer"]), st.booleans())


@given(st.lists(st.tuples(events, st.text(st.characters(max_codepoint=0x24F), max_size=90)), max_size=30))
def test_any_flows_and_parties_leave_every_final_and_the_last_interims(talk):
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        screen = screen_on(stream)
        flows = {flow: console(screen, flow) for flow in ("f-1", "f-2", "f-3")}
        for (flow, track, final), text in talk:
            flows[flow].push(said(f"{text}!", track=track, final=final))
    live = set()
    for (flow, track, final), _ in talk:
        live = live - {(flow, track)} if final else live | {(flow, track)}
    rows = terminal.rows()
    finals = pipe.getvalue().split("\n")[:-1]
    assert len(finals) == sum(final for (_, _, final), _ in talk)
    assert rows[: len(finals)] == finals
    assert rows[len(finals) : len(finals) + 1] == [""] * bool(live)
    assert {row[10:].split(":")[0] for row in rows[len(finals) + 1 :]} == {f"{f[2:]} {t}" for f, t in live}


def test_many_threads_mix_no_lines():
    pipe = io.StringIO()
    screen = screen_on(pipe)

    def talk(number: int) -> None:
        harness = console(screen, f"flow-{number}")
        for turn in range(50):
            harness.push(said(f"{number}:{turn}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(talk, range(8)))
    lines = pipe.getvalue().splitlines()
    for number in range(8):
        mine = [
            line.split(": ")[1] for line in lines if line.endswith(tuple(f" {number}:{turn}" for turn in range(50)))
        ]
        assert mine == [f"{number}:{turn}" for turn in range(50)]
    assert len(lines) == 400


class StuckTerminal(io.StringIO):
    """One that takes nothing until it is told to, as after Ctrl-S."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.free = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        self.free.wait(60)
        return super().write(text)


def test_terminal_that_stands_still_holds_up_one_flow_and_drops_are_counted():
    stuck = StuckTerminal()
    screen = screen_on(stuck)
    first, second = console(screen, "flow-1"), console(screen, "flow-2")
    with ThreadPoolExecutor(1) as pool:
        held_up = pool.submit(first.push, said("first"))
        assert stuck.reached.wait(60)
        second.push(*(said(f"{number}") for number in range(MAX_WAITING_FINALS + 7)))  # returns
        stuck.free.set()
        held_up.result(60)
    assert second.dropped_chunks == {"terminal_stuck": 7}
    assert len(stuck.getvalue().splitlines()) == 1 + MAX_WAITING_FINALS


def test_utterance_without_words_only_takes_its_interim_away():
    terminal = Terminal()
    console(screen_on(terminal)).push(said("hm", final=False), said(" "))
    assert terminal.rows() == []


def test_all_flows_share_one_screen():
    assert Console.make_resource(Console.Config()) == Console.make_resource(Console.Config())
    assert hash(Console.make_resource(Console.Config())) == hash(Console.make_resource(Console.Config()))


def test_encoding_without_the_letter_shows_a_question_mark():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, "ascii")
    console(screen_on(stream)).push(said("caf\u00e9"))
    assert raw.getvalue() == b"[00:12.3] agent: caf?\n"


def test_a_stretch_without_words_says_why():
    out = io.StringIO()
    console(screen_on(out)).push(Text("agent", 61.0, 64.2, "", True, 0, gap="untranscribed")).end()
    assert out.getvalue() == "[01:01.0] agent: [untranscribed 3.2 s]\n"
