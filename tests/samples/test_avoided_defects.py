"""Defects of RingCentral's two official sample packages that flowcore does not have: one test for each.

The packages are ``ev-audio-streaming-transcription-py`` 1.0.2 (PyPI) and ``ev-audio-streaming-transcription`` 1.1.1
(npm). docs/from-the-samples.md lists the defects and tells how to migrate; test_node_sample.py runs the npm package.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from playwright.sync_api import expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from nodes.ringcx.call_sender import CallSender
from nodes.speech.testing import SpokenWord, TranscribeHarness, to_chunks
from tests.support.live import Live, until
from tests.support.phone import MESSAGE, Phone, knock, said, stereo
from tests.support.watching import Talk, address, browser, stage
from tools.fake_google import FakeGoogle, Limits
from tools.fake_google import mulaw as speak
from tools.fake_google.words import Word
from tools.load import frame, mulaw

pytestmark = pytest.mark.slow

MESSAGE_TIMEOUT = 20.0
"""Seconds."""


@contextmanager
def recorded(folder, *settings, calls=1):
    with Live("record", [f"wav.path={folder}/{{call_id}}.wav", *settings], calls=calls) as live:
        yield live


@contextmanager
def transcribed(folder, calls=1, **google):
    """graphs/google.yaml with a stand-in for Google, which does not mind calls that are faster than real time."""
    with FakeGoogle(limits={2: Limits(300, burst=60)}, **google) as service:
        settings = [
            f"wav.path={folder}/{{call_id}}.wav",
            f"text.path={folder}/{{call_id}}.jsonl",
            f"words.engine.endpoint={service.address}",
            "words.engine.plaintext=true",
        ]
        with Live("google", settings, calls=calls) as live:
            yield live


def sound(first, count=4):
    """Words without a pause between them, up to the last sample; and how Google writes them."""
    numbers = range(first, first + count)
    return speak([(n, (n - first) * 0.2, (n - first + 1) * 0.2) for n in numbers]), [f"w{n}" for n in numbers]


def say(phone, agent, customer=b""):
    voices = {"agent": agent, "customer": customer}
    places = range(0, max(len(agent), len(customer)), MESSAGE)
    pieces = [(track, voices[track][at : at + MESSAGE]) for at in places for track in voices]
    phone.say(*(phone.sender.media(track, piece) for track, piece in pieces if piece))


def words(path, track):
    texts = [json.loads(line) for line in path.read_text().splitlines()]
    return " ".join(text["text"] for text in texts if text["track"] == track and text["final"]).split()


def whole_call(url, call="one", seconds=0.5):
    phone = Phone(url, call)
    phone.start()
    phone.talk(7, seconds)
    phone.stop()
    phone.hang_up()


def check_that_one_stop_ends_one_party(folder):
    with recorded(folder) as live:
        phone = Phone(live.url)
        phone.start()
        phone.talk(7, 0.5)
        phone.say(phone.sender.stop(1, "2026-01-01T00:00:00Z"))
        say(phone, b"", mulaw(7, "customer", 1.0)[4000:])
        phone.stop()
        phone.hang_up()
    assert np.array_equal(stereo(folder / "one.wav")[:, 1], said(7, 1.0)[:, 1])


def check_more_than_five_minutes(version):
    """Transcribe six minutes with the fake, whose streams live for five, on a virtual clock."""
    now = [0.0]
    spoken = [SpokenWord(n, n * 9 + 1.0, n * 9 + 1.4) for n in range(40)]
    with FakeGoogle(clock=lambda: now[0]) as google:

        def tick(time):
            now[0] = time
            google.turn()

        engine = {"use": "google", "endpoint": google.address, "plaintext": True, "version": version}
        call = TranscribeHarness(engine, {}, lambda number: "", 100, {}, tick)
        heard = np.frombuffer(speak([(word.number, word.start, word.end) for word in spoken], 360), np.uint8)
        call.play(to_chunks(heard, "mulaw", 8000, []))
        call.finish()
        assert len(google.streams) > 1
    assert [word.text for text in call.finals for word in text.words] == [f"w{n}" for n in range(40)]
    assert not call.gaps


class TestDefectsOfThePythonSample:
    def test_every_media_message_is_recorded(self, tmp_path):
        with recorded(tmp_path) as live:
            whole_call(live.url, seconds=1.0)
        assert np.array_equal(stereo(tmp_path / "one.wav"), said(7, 1.0))
        assert live.dropped() == {}

    def test_each_party_has_a_recogniser_of_its_own(self, tmp_path):
        (agent, agents), (customer, customers) = sound(0), sound(100)
        with transcribed(tmp_path) as live:
            phone = Phone(live.url)
            phone.start()
            say(phone, agent, customer)
            phone.stop()
            phone.hang_up()
        assert words(tmp_path / "one.jsonl", "agent") == agents
        assert words(tmp_path / "one.jsonl", "customer") == customers

    @pytest.mark.parametrize("messages", [3, 5, 7])
    def test_the_last_messages_are_recorded_however_few_they_are(self, tmp_path, messages):
        with recorded(tmp_path) as live:
            whole_call(live.url, seconds=messages * 0.02)
        assert np.array_equal(stereo(tmp_path / "one.wav"), said(7, messages * 0.02))

    def test_the_last_final_text_is_waited_for(self, tmp_path):
        agent, agents = sound(0)
        with transcribed(tmp_path, drain=0.5) as live:  # Google takes its time
            phone = Phone(live.url)
            phone.start()
            say(phone, agent)
            phone.stop()
            phone.hang_up()
        assert words(tmp_path / "one.jsonl", "agent") == agents

    def test_calls_leave_no_thread_behind(self, tmp_path):
        counts = []
        with transcribed(tmp_path, calls=6) as live:
            for number in range(6):
                phone = Phone(live.url, f"call{number}")
                phone.start()
                say(phone, sound(0, 2)[0])
                phone.stop()
                phone.hang_up()
                until(lambda ended=number + 1: len(live.named("flow_closed")) == ended)
                counts.append(threading.active_count())
        assert counts[-1] - counts[1] < 4  # a pool may have grown by a thread meanwhile

    @pytest.mark.parametrize("word", ["exit", "quit"])
    def test_the_words_exit_and_quit_end_nothing(self, tmp_path, monkeypatch, word):
        monkeypatch.setattr(Word, "text", property(lambda self: word if self.number == 1 else f"w{self.number}"))
        with transcribed(tmp_path) as live:
            phone = Phone(live.url)
            phone.start()
            say(phone, sound(0, 2)[0] + b"\xff" * 8000 + sound(2, 2)[0])
            phone.stop()
            phone.hang_up()
        assert words(tmp_path / "one.jsonl", "agent") == ["w0", word, "w2", "w3"]

    def test_transcription_goes_on_beyond_googles_limit_of_five_minutes(self):
        check_more_than_five_minutes(version=1)

    def test_the_first_stop_does_not_end_the_other_party(self, tmp_path):
        check_that_one_stop_ends_one_party(tmp_path)

    def test_connections_of_todays_websockets_library_are_taken(self, tmp_path):
        caller = CallSender({"call_id": "one", "session_id": "1"})
        voice = mulaw(7, "agent", 0.5)
        with recorded(tmp_path) as live, connect(live.url) as line:
            line.send(caller.connected(), text=True)
            line.send(caller.start(), text=True)
            for at in range(0, len(voice), MESSAGE):
                line.send(caller.media("agent", voice[at : at + MESSAGE]), text=True)
            for _ in range(2):
                line.send(caller.stop(1, "2026-01-01T00:00:00Z"), text=True)
        assert np.array_equal(stereo(tmp_path / "one.wav")[:, 0], said(7, 0.5)[:, 0])


@contextmanager
def viewer(live, query):
    """One viewer of a call's captions, as the page is: a function that waits until it was shown these final texts."""
    with connect(address(live, f"-ws?callId={query}").replace("http", "ws", 1)) as line:
        finals = []

        def hears(*texts):
            while finals != list(texts):
                message = json.loads(line.recv(timeout=MESSAGE_TIMEOUT))
                if message["event"] == "text" and message["final"]:
                    finals.append(message["text"])

        yield hears


KILLERS = {
    "a text that is no JSON": frame(b"hello"),
    "a Media before Start": frame(CallSender({}).media("agent", bytes(160))),
    "a malformed frame": b"\xff\xff\xff\xff\xff\xff",
}


class TestDefectsOfTheNodeSample:
    @pytest.mark.parametrize("what", KILLERS)
    def test_a_bad_peer_harms_no_other_call(self, tmp_path, what):
        with recorded(tmp_path, calls=2) as live:
            good = Phone(live.url, "good")
            good.start()
            good.talk(7, 0.5)
            killer = Phone(live.url, "bad")
            killer.socket.sendall(KILLERS[what])
            killer.hang_up()
            good.talk(7, 0.5)
            good.stop()
            good.hang_up()
            whole_call(live.url, "next")
        assert np.array_equal(stereo(tmp_path / "good.wav"), np.tile(said(7, 0.5), (2, 1)))
        assert np.array_equal(stereo(tmp_path / "next.wav"), said(7, 0.5))

    def test_the_last_sentence_after_the_stop_is_shown(self, tmp_path):
        with stage(tmp_path) as live:
            talk = Talk(live.url, "one")
            with viewer(live, "one") as hears:
                talk.words("agent", 1.0, "Goodbye", final=False)  # the engine makes it final after the Stop
                talk.stop()
                hears("Goodbye")

    def test_the_first_stop_does_not_end_both_parties(self, tmp_path):
        check_that_one_stop_ends_one_party(tmp_path)

    def test_streams_to_google_are_renewed(self):
        check_more_than_five_minutes(version=2)

    def test_two_viewers_see_the_same_call(self, tmp_path):
        with stage(tmp_path) as live:
            talk = Talk(live.url, "one")
            with viewer(live, "one") as first_hears, viewer(live, "one") as second_hears:
                talk.words("agent", 1.0, "Hello")
                first_hears("Hello")
                second_hears("Hello")

    def test_a_late_viewer_sees_the_texts_so_far_of_its_own_call(self, tmp_path):
        with stage(tmp_path) as live:
            talk = Talk(live.url, "one")
            Talk(live.url, "two").words("agent", 1.0, "In another call")
            talk.words("agent", 1.0, "Hello")
            talk.words("customer", 2.0, "Hello yourself")
            with viewer(live, "one") as hears:
                hears("Hello", "Hello yourself")
            talk.stop()
            until(lambda: live.named("flow_closed"))
            with viewer(live, "one") as hears:
                hears("Hello", "Hello yourself")

    def test_a_call_is_shown_only_to_viewers_with_the_key(self, tmp_path, monkeypatch):
        monkeypatch.setenv("VIEWER_KEY", "0123456789abcdef")
        with stage(tmp_path, "secret: '${VIEWER_KEY}'") as live:
            talk = Talk(live.url, "one")
            talk.words("agent", 1.0, "Hello")
            for query in ("one", "one&key=0123456789abcdeX"):
                with pytest.raises(InvalidStatus, match=r"40[13]"), viewer(live, query):
                    pass
            with viewer(live, "one&key=0123456789abcdef") as hears:
                hears("Hello")

    def test_markup_in_a_text_is_shown_and_not_run(self, tmp_path):
        markup = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>"
        with stage(tmp_path) as live, browser() as chromium:
            talk = Talk(live.url, "one")
            talk.words("customer", 1.0, markup)
            page = chromium.new_page()
            page.goto(address(live, "?callId=one"))
            expect(page.locator("li p")).to_have_text(markup)
            assert page.locator("main img, main b").count() == 0
            assert page.title() != "owned"

    def test_calls_without_the_secret_are_refused(self, tmp_path, monkeypatch):
        monkeypatch.setenv("RINGCX_SECRET", "correct horse")
        with recorded(tmp_path, "call.secret=${RINGCX_SECRET}") as live:
            for wrong in ("wrong", ""):
                connection, answer = knock(live.url, headers=f"Authorization: Bearer {wrong}\r\n")
                connection.close()
                assert b" 401 " in answer
            assert live.engine.totals.flows == 0
            right = Phone(live.url, headers="Authorization: Bearer correct horse\r\n")
            right.start()
            right.talk(7, 0.5)
            right.stop()
            right.hang_up()
        assert np.array_equal(stereo(tmp_path / "one.wav"), said(7, 0.5))

    def test_the_numbers_of_the_messages_decide_order_and_repeats(self, tmp_path):
        voices = {track: mulaw(7, track, 0.5) for track in ("agent", "customer")}
        with recorded(tmp_path, "ordered.window=2s") as live:  # in a stall of that length what came first is not late
            phone = Phone(live.url)
            phone.start()
            messages = [
                phone.sender.media(track, voice[at : at + MESSAGE])
                for at in range(0, 4000, MESSAGE)
                for track, voice in voices.items()
            ]
            fives = [messages[at : at + 5] for at in range(0, len(messages), 5)]
            phone.say(*(message for five in fives for message in (*reversed(five), five[0])))
            phone.stop()
            phone.hang_up()
        assert np.array_equal(stereo(tmp_path / "one.wav"), said(7, 0.5))
        assert live.dropped() == {"duplicate": 10}

    def test_every_call_is_recorded(self, tmp_path):
        with recorded(tmp_path, calls=3) as live:
            for call in ("a", "b", "c"):
                whole_call(live.url, call)
        assert all(np.array_equal(stereo(tmp_path / f"{call}.wav"), said(7, 0.5)) for call in ("a", "b", "c"))
