from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
import srt
import webvtt
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from flowcore import Text
from flowcore.testing import SESSION
from nodes.transcripts import journal
from nodes.transcripts.formats import FORMATS
from tests.support.watching import browser

NAMES = {"agent": "Agent", "customer": "Caller"}


def rendered(kind: str, *texts: Text, interim: bool = False, folder: Path) -> str:
    path = folder / "journal"
    path.write_bytes(journal.head(SESSION) + b"".join(map(journal.entry, texts)) + journal.tail(60))
    return FORMATS[kind](journal.read(path, interim=interim), NAMES).decode()


def subtitles(text: str) -> list[tuple[float, float, str]]:
    """What a strict reader of SRT finds: start, end, line."""
    cues = list(srt.parse(text))
    assert [cue.index for cue in cues] == list(range(1, len(cues) + 1))
    return [(cue.start.total_seconds(), cue.end.total_seconds(), cue.content) for cue in cues]


def cues(text: str) -> list[tuple[float, float, str, str]]:
    """What a strict reader of WebVTT finds: start, end, voice, words."""
    found = webvtt.from_string(text, strict=True)
    return [
        (
            cue.start_in_seconds + _milliseconds(cue.start),
            cue.end_in_seconds + _milliseconds(cue.end),
            cue.voice,
            cue.text,
        )
        for cue in found
    ]


def _milliseconds(clock: str) -> float:
    return int(clock.rpartition(".")[2]) / 1000


HELLO = Text("agent", 1.2, 2.9, "hello, how can I help?", True, 0, lag=0.61)
NO_GOOD = Text("customer", 2.5, 4.0, "it's no good", True, 0, lag=0.7)
GAP = Text("customer", 4.0, 7.2, "", True, 1, gap="untranscribed")
CUT = Text("agent", 8.0, 8.5, "I see that", False, 1)
CALL = (HELLO, NO_GOOD, GAP, CUT)


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("srt", "\nCaller: [uncertain] it's no good\n"),
        ("vtt", "\n<v Caller>[uncertain] it's no good\n"),
        ("txt", "[00:02.5] Caller: [uncertain] it's no good\n"),
        ("jsonl", '"confidence":0.3,"lag":0.7,"uncertain":true}\n'),
    ],
)
def test_uncertain_words_are_marked(kind, line, tmp_path):
    doubtful = replace(NO_GOOD, uncertain=True, confidence=0.3)
    assert line in rendered(kind, doubtful, folder=tmp_path)
    assert "uncertain" not in rendered(kind, NO_GOOD, folder=tmp_path)


def test_srt_of_a_call(tmp_path):
    assert rendered("srt", *CALL, folder=tmp_path) == (
        "1\n00:00:01,200 --> 00:00:02,900\nAgent: hello, how can I help?\n\n"
        "2\n00:00:02,500 --> 00:00:04,000\nCaller: it's no good\n\n"
        "3\n00:00:04,000 --> 00:00:07,200\nCaller: [untranscribed 3.2 s]\n\n"
        "4\n00:00:08,000 --> 00:00:08,500\nAgent: I see that …\n"
    )


def test_vtt_of_a_call(tmp_path):
    assert rendered("vtt", *CALL, folder=tmp_path) == (
        "WEBVTT\n\n"
        "00:00:01.200 --> 00:00:02.900\n<v Agent>hello, how can I help?\n\n"
        "00:00:02.500 --> 00:00:04.000\n<v Caller>it's no good\n\n"
        "00:00:04.000 --> 00:00:07.200\n<v Caller>[untranscribed 3.2 s]\n\n"
        "00:00:08.000 --> 00:00:08.500\n<v Agent>I see that …\n"
    )


def test_plain_text_of_a_call(tmp_path):
    assert rendered("txt", *CALL, folder=tmp_path) == (
        "[00:01.2] Agent: hello, how can I help?\n"
        "[00:02.5] Caller: it's no good\n"
        "[00:04.0] Caller: [untranscribed 3.2 s]\n"
        "[00:08.0] Agent: I see that …\n"
    )


def test_json_lines_of_a_call(tmp_path):
    assert rendered("jsonl", *CALL, folder=tmp_path) == (
        '{"track":"agent","start":1.2,"end":2.9,"text":"hello, how can I help?",'
        '"final":true,"utterance":0,"lag":0.61}\n'
        '{"track":"customer","start":2.5,"end":4.0,"text":"it\'s no good","final":true,"utterance":0,"lag":0.7}\n'
        '{"track":"customer","start":4.0,"end":7.2,"text":"","final":true,"utterance":1,"gap":"untranscribed"}\n'
        '{"track":"agent","start":8.0,"end":8.5,"text":"I see that","final":false,"utterance":1}\n'
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_a_call_in_which_nobody_speaks_is_a_valid_file(kind, tmp_path):
    text = rendered(kind, folder=tmp_path)
    assert text == ("WEBVTT\n" if kind == "vtt" else "")
    if kind == "vtt":
        assert cues(text) == []


def test_what_began_first_comes_first_although_it_ended_later(tmp_path):
    long = Text("agent", 1.0, 9.0, "a long story", True, 0)
    short = Text("customer", 3.0, 3.5, "yes", True, 0)
    found = subtitles(rendered("srt", short, long, folder=tmp_path))
    assert found == [(1.0, 9.0, "Agent: a long story"), (3.0, 3.5, "Caller: yes")]


def test_one_party_never_talks_over_itself(tmp_path):
    found = subtitles(
        rendered("srt", Text("agent", 1, 3, "one", True, 0), Text("agent", 2.5, 4, "two", True, 1), folder=tmp_path)
    )
    assert found == [(1.0, 2.5, "Agent: one"), (2.5, 4.0, "Agent: two")]


@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_a_cue_ends_after_it_begins_whatever_an_engine_says(kind, tmp_path):
    odd = (Text("agent", 2.0, 2.0, "one", True, 0), Text("agent", 3.0, 1.0, "two", True, 1))
    read = subtitles if kind == "srt" else cues
    assert [cue[:2] for cue in read(rendered(kind, *odd, folder=tmp_path))] == [(2.0, 2.001), (3.0, 3.001)]


def test_times_of_a_long_call(tmp_path):
    late = Text("agent", 3599.9996, 360_000.5, "hello", True, 0)
    assert "01:00:00,000 --> 100:00:00,500" in rendered("srt", late, folder=tmp_path)
    assert "01:00:00.000 --> 100:00:00.500" in rendered("vtt", late, folder=tmp_path)
    assert rendered("txt", late, folder=tmp_path).startswith("[60:00.0]")


def test_markup_in_the_words_is_no_markup_in_the_file(tmp_path):
    words = "<i>if a < b && b --> c</i>\n\n2\n{\\an8}00:00:01,000 --> 00:00:02,000"
    odd = Text("agent", 1, 2, words, True, 0)
    ((*_, content),) = subtitles(rendered("srt", odd, folder=tmp_path))
    assert content == "Agent: ‹i›if a ‹ b && b --› c‹/i› 2 (\\an8)00:00:01,000 --› 00:00:02,000"
    text = rendered("vtt", odd, folder=tmp_path)
    assert "\n<v Agent>&lt;i&gt;if a &lt; b &amp;&amp; b --&gt; c&lt;/i&gt; 2 {\\an8}00:00:01,000 --&gt; 00" in text
    assert len(cues(text)) == 1
    assert rendered("txt", odd, folder=tmp_path).count("\n") == 1


def test_parties_without_a_name_are_called_by_their_track(tmp_path):
    other = Text("<expert>\n", 1, 2, "hm", True, 0)
    assert rendered("txt", other, folder=tmp_path) == "[00:01.0] <expert>: hm\n"
    assert "<v &lt;expert&gt;>hm\n" in rendered("vtt", other, folder=tmp_path)


def test_interim_texts_are_left_out_unless_asked_for(tmp_path):
    texts = (
        Text("agent", 1, 1.5, "hel", False, 0),
        Text("agent", 1, 2, "hello", True, 0),
        Text("agent", 3, 3.5, "er", False, 1),
        Text("agent", 3, 3.5, "", True, 1),
    )
    for interim, expected in ((False, ["hello"]), (True, ["hel", "hello", "er", ""])):
        lines = rendered("jsonl", *texts, interim=interim, folder=tmp_path).splitlines()
        assert [json.loads(line)["text"] for line in lines] == expected
    assert subtitles(rendered("srt", *texts, interim=True, folder=tmp_path)) == [(1.0, 2.0, "Agent: hello")]


WORDS = st.text(st.sampled_from("abc <>&{}-\n\r\t\u2028\u202e\0é語…1"), max_size=12)
UTTERANCES = st.tuples(st.sampled_from(["agent", "customer"]), st.integers(0, 5))
TIMES = st.tuples(st.floats(0, 20_000), st.floats(0, 20_000))
INTERIM = st.builds(lambda of, at, words: Text(of[0], *at, words, False, of[1]), UTTERANCES, TIMES, WORDS)
FINAL = st.builds(
    lambda of, at, words, gap: Text(of[0], *at, f"w{of[0][0]}{of[1]}w {words}", True, of[1], gap=gap),
    UTTERANCES,
    TIMES,
    WORDS,
    st.sampled_from(["", "untranscribed"]),
)
CALLS = st.builds(
    lambda finals, interims: [*finals, *interims],
    st.lists(FINAL, max_size=10, unique_by=lambda text: (text.track, text.utterance)),
    st.lists(INTERIM, max_size=10),
).flatmap(st.permutations)


@given(CALLS)
def test_whatever_comes_in_whatever_order_each_final_text_is_in_each_format_once(tmp_path_factory, events):
    folder = tmp_path_factory.mktemp("any")
    finals = [event for event in events if event.final]
    last = {(event.track, event.utterance): event for event in events if not event.final}
    cut = [last[of].text for of in last.keys() - {(event.track, event.utterance) for event in finals}]
    found = {kind: rendered(kind, *events, folder=folder) for kind in FORMATS}

    lines = [json.loads(line) for line in found["jsonl"].split("\n")[:-1]]
    assert [line["text"] for line in lines if line["final"]] == [event.text for event in finals]
    assert sorted(line["text"] for line in lines if not line["final"]) == sorted(filter(None, cut))

    shown = len(finals) + sum(1 for text in cut if re.sub(r"[\s\0\u202e]", "", text))
    by_reader = {
        "srt": subtitles(found["srt"]),
        "vtt": cues(found["vtt"]),
        "txt": [(_seconds(line), line) for line in found["txt"].split("\n")[:-1]],
    }
    for kind, read in by_reader.items():
        assert len(read) == shown
        assert [cue[0] for cue in read] == sorted(cue[0] for cue in read)
        for event in finals:
            name = event.text.split()[0]
            assert sum(1 for *_, words in read if name in words) == 1, kind
        assert kind == "txt" or all(cue[1] > cue[0] for cue in read)


def _seconds(line: str) -> float:
    match = re.match(r"\[(\d+):(\d\d\.\d)\] (Agent|Caller): .", line)
    assert match, line
    return timedelta(minutes=int(match[1]), seconds=float(match[2])).total_seconds()


CUES = """async (text) => {
    const track = document.createElement("track");
    track.src = URL.createObjectURL(new Blob([text], {type: "text/vtt"}));
    document.body.appendChild(document.createElement("video")).append(track);
    const read = new Promise((done, failed) => { track.onload = done; track.onerror = failed; });
    track.track.mode = "hidden";
    await read;
    return [...track.track.cues].map((cue) => {
        const shown = cue.getCueAsHTML();
        return [cue.startTime, cue.endTime, shown.firstElementChild.title, shown.textContent];
    });
}"""


@pytest.mark.slow
def test_a_browser_shows_who_said_what_when(tmp_path):
    odd = Text("customer", 9, 10, "<b>a & b</b> &lt; --> {x}\n\n00:01.000 --> 00:02.000", True, 2)
    text = rendered("vtt", *CALL, odd, folder=tmp_path)
    with browser() as chromium:
        assert chromium.new_page().evaluate(CUES, text) == [
            [1.2, 2.9, "Agent", "hello, how can I help?"],
            [2.5, 4, "Caller", "it's no good"],
            [4, 7.2, "Caller", "[untranscribed 3.2 s]"],
            [8, 8.5, "Agent", "I see that …"],
            [9, 10, "Caller", "<b>a & b</b> &lt; --> {x} 00:01.000 --> 00:02.000"],
        ]
