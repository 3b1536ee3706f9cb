import pytest

from flowcore.top import words
from tests.support.live_data import page, row


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "–"), (0.4, "0.4 ms"), (40, "40 ms"), (999, "999 ms"), (1240, "1.2 s"), (300_000, "5 min")]
)
def test_lengths_are_short(ms, text):
    assert words.length(ms) == text


@pytest.mark.parametrize(("seconds", "text"), [(5.9, "0:05"), (61, "1:01"), (3847, "1:04:07")])
def test_ages(seconds, text):
    assert words.age(seconds) == text


def test_levels_have_a_bar_and_a_number():
    assert [words.level(db) for db in (None, -90.0, -60.0, -30.0, 0.0)] == ["–", "▁ -90", "▁ -60", "▅ -30", "█ 0"]


def test_the_mark_is_that_of_the_worst_trouble():
    full = {"node": "wav", "ms": 2000, "limit_ms": 5000, "fullness": 0.4}
    calls = [
        row(),
        row(worst_queue=full),
        row(worst_queue=full, lost_recent_ms=20),
        row(lost_recent_ms=1, failed=["x"]),
    ]
    assert [words.MARKS[words.trouble(call)] for call in calls] == [" ", "▲", "!", "✗"]
    assert [bool(words.STYLES[words.trouble(call)]) for call in calls] == [False, True, True, True]


def test_the_state_is_one_word_in_a_column_and_all_of_it_elsewhere():
    calls = [
        row(),
        row(on_hold=True),
        row(muted=["agent"], on_hold=True),
        row(paused=True, muted=["agent"]),
        row(state="draining"),
        row(state="opening"),
    ]
    assert [words.state(call) for call in calls] == ["live", "hold", "muted", "paused", "ending", "opening"]
    assert words.whole_state(calls[2]) == "live, muted: agent, on hold"
    assert words.whole_state(calls[3]) == "live, paused"


def test_texts_and_messages_are_counted_where_there_is_no_length():
    lost = {"ordered": {"lost": {"chunks": 2, "ms": 40.0}}, "post": {"late": {"chunks": 3, "ms": 0}}}
    assert words.losses(lost) == "ordered: lost 40 ms; post: late 3"


def test_the_title_names_graph_version_and_room():
    assert words.run_title(page(row()), "room for 30 more (decoders)", short=True) == (
        "record.yaml  1-aa  1 of 2000 calls  room for 30 more (decoders)"
    )
    drained = page(row(), row("c-2"), draining=True, versions={"1-aa": 1, "2-bb": 1})
    assert words.run_title(drained, "") == (
        "graphs/record.yaml  1-aa  2 of 2000 calls  draining: takes no more calls  1 of 1-aa and 1 of 2-bb"
    )


def test_the_totals_say_what_is_wrong_with_the_run():
    told = page(row(), processes=2, failed=1, refused=3, lost_ms=1240)
    told["processes"][0]["not_ready"] = "disk_full"
    told["missing"] = [3]
    assert words.run_totals(told) == (
        "9 started  1 failed  3 refused  lost 1.2 s  0.50 cores  2 processes  takes no call: disk_full  "
        "no answer from 1 worker 3"
    )
    assert "lost nothing" in words.run_totals(page())


def test_an_event_is_one_printable_line_with_the_name_of_its_call():
    record = {
        "event": "hold_ended",
        "level": "info",
        "timestamp": "2026-12-24T18:15:00.123Z",
        "flow": "f1",
        "node": "o",
    }
    line = words.event({**record, "track": "", "seconds": 3.5, "files": ["a", "b"], "text": "x\x1b[2J"}, {"f1": "c-1"})
    assert line.endswith(":15:00 hold_ended o c-1 seconds=3.5 files=a,b text=x·[2J")
    assert words.event(record, {}).endswith("hold_ended o f1")
