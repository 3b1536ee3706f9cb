"""The engine `google` against the stand-in, over real gRPC with the real client library."""

import threading
from collections import Counter

import pytest

from flowcore.speech import Expired, OverQuota, Rejected, Unavailable
from flowcore.tcp_proxy import Proxy
from nodes.speech.engines.google import Google
from nodes.speech.engines.google_messages import error_for
from tests.support.live import until
from tests.support.speech_services import Hand, Talk
from tests.support.toxics import reset
from tools.fake_google import FakeGoogle, Limits, StreamFault, mulaw

pytestmark = pytest.mark.slow

VERSION = pytest.mark.parametrize("version", [1, 2])


@pytest.fixture
def engine(request):
    """Makes opened engines; closes them at the end."""
    engines = []

    def make(google, **config):
        address = google if isinstance(google, str) else google.address
        engine = Google(Google.Config(endpoint=address, plaintext=True, **config))
        engines.append(engine)
        engine.open()
        return engine

    yield make
    for engine in engines:
        engine.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "google"]


def spoken(count, start=0):
    """Sound, and its words with their times: three in an utterance."""
    words = []
    for number in range(count):
        at = 0.1 + number // 3 * 1.7 + number % 3 * 0.3
        words.append((start + number, round(at, 3), round(at + 0.3, 3)))
    return mulaw(words, words[-1][2] + 0.1), [(f"w{number}", begin, end) for number, begin, end in words]


@VERSION
def test_words_come_back_with_their_times_the_last_one_after_the_end(engine, version):
    sound, words = spoken(8)
    with FakeGoogle(limits={version: Limits(300, burst=60)}) as google:
        talk = Talk(engine(google, version=version)).say(sound)
        assert talk.end() is None
    assert talk.words == [(text, pytest.approx(start), pytest.approx(end)) for text, start, end in words]
    assert [result.text for result in talk.results if result.final] == ["w0 w1 w2", "w3 w4 w5", "w6 w7"]
    assert google.streams[0].outcome == "OK"
    assert google.streams[0].seconds * 8000 == pytest.approx(len(sound))


@VERSION
def test_an_interim_text_is_one_although_it_comes_in_pieces(engine, version):
    sound, _ = spoken(3)
    with FakeGoogle() as google:
        talk = Talk(engine(google, version=version)).say(sound)
        assert talk.end() is None
    assert [(result.text, result.final) for result in talk.results] == [
        ("w0", False),
        ("w0 w1", False),
        ("w0 w1 w2", False),
        ("w0 w1 w2", True),
    ]
    assert talk.results[2].confidence == pytest.approx(0.1)  # as unsure as its last piece
    assert talk.results[3].confidence == pytest.approx(0.9)


@VERSION
def test_what_the_config_says_reaches_google(engine, version):
    config = {
        "language": "de-DE",
        "other_languages": ["en-GB"],
        "punctuation": False,
        "model": "latest_long",
    }
    with FakeGoogle() as google:
        assert Talk(engine(google, version=version, **config), phrases=("RingCX", "Engage")).end() is None
        project = {"project": "my-project", "location": "eu", "recognizer": "calls"}
        assert Talk(engine(google, version=version, **project)).end() is None
    told, second = (stream.config for stream in google.streams)
    assert told["language"] == ["de-DE", "en-GB"]
    assert told["phrases"] == ["RingCX", "Engage"]
    assert (told["model"], told["punctuation"], told["interim"], told["times"]) == ("latest_long", False, True, True)
    assert (told["encoding"], told["rate"]) == ("mulaw", 8000)
    assert second["model"] == {1: "phone_call", 2: "telephony"}[version]
    if version == 2:
        assert second["recognizer"] == "projects/my-project/locations/eu/recognizers/calls"


def test_linear_samples_may_be_sent_as_well(engine):
    import numpy as np

    from nodes.audio import g711

    sound, words = spoken(3)
    with FakeGoogle() as google:
        talk = Talk(engine(google), "s16").say(g711.decode(np.frombuffer(sound, np.uint8)).tobytes())
        assert talk.end() is None
    assert [word for word, _, _ in talk.words] == [word for word, _, _ in words]
    assert google.streams[0].config["encoding"] == "s16"


@VERSION
def test_the_age_of_a_stream_and_its_rest_are_limited_and_a_new_one_may_begin(engine, version):
    hand = Hand()
    with FakeGoogle(clock=hand) as google:
        talker = engine(google, version=version)
        talk = Talk(talker).say(mulaw([], 1.0))
        until(lambda: google.streams and google.streams[0].seconds == 1.0)
        hand.now += 10
        assert isinstance(talk.rest(), Expired)
        talk = Talk(talker)
        until(lambda: len(google.streams) == 2)
        for second in range(int(talker.limits.max_stream)):
            talk.say(mulaw([], 1.0), 8000)
            until(lambda seconds=second + 1: google.streams[1].seconds == seconds)
            hand.now += 1
        error = talk.rest()
    assert isinstance(error, Expired)
    assert ("305 seconds" if version == 1 else "5 minutes") in str(error)
    assert {stream.outcome for stream in google.streams} == {"OUT_OF_RANGE" if version == 1 else "ABORTED"}


@VERSION
def test_a_request_that_is_too_large_is_refused_for_good(engine, version):
    with FakeGoogle() as google:
        talker = engine(google, version=version)
        error = Talk(talker).say(bytes(26_000), 26_000).rest()
        fits = Talk(talker).say(bytes(talker.limits.max_request), talker.limits.max_request)
        assert fits.end() is None
    assert isinstance(error, Rejected)
    assert "25600" in str(error)


def test_audio_that_comes_too_fast_is_to_be_sent_again_more_slowly(engine):
    with FakeGoogle(clock=Hand()) as google:
        error = Talk(engine(google)).say(mulaw([], 6.0)).rest()
    assert isinstance(error, Unavailable)


@VERSION
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("OUT_OF_RANGE", Expired),
        ("ABORTED", Expired),
        ("UNAVAILABLE", Unavailable),
        ("DEADLINE_EXCEEDED", Unavailable),
        ("INTERNAL", Unavailable),
        ("UNKNOWN", Unavailable),
        ("CANCELLED", Unavailable),
        ("DATA_LOSS", Unavailable),
        ("RESOURCE_EXHAUSTED", OverQuota),
        ("INVALID_ARGUMENT", Rejected),
        ("PERMISSION_DENIED", Rejected),
        ("UNAUTHENTICATED", Rejected),
        ("NOT_FOUND", Rejected),
        ("FAILED_PRECONDITION", Rejected),
        ("UNIMPLEMENTED", Rejected),
    ],
)
def test_each_status_is_told_as_what_is_to_be_done_about_it(engine, version, code, kind):
    sound, _ = spoken(4)
    with FakeGoogle(fault=lambda number: StreamFault(code, 1.9, f"for the test {number}")) as google:
        # No more than what it takes: of a stream that ends in the middle of a request gRPC may say INTERNAL instead.
        talk = Talk(engine(google, version=version)).say(sound[: round(1.9 * 8000)])
        error = talk.rest()
        assert len(google.streams) == 1  # nobody tried again behind our back
    assert type(error) is kind
    assert str(error) == f"Google: {code}: for the test 0"
    assert [word for word, _, _ in talk.words] == ["w0", "w1", "w2"]  # what came before the error is not lost


def test_a_key_that_was_revoked_is_no_network_trouble():
    told = "Getting metadata from plugin failed with error: ('invalid_grant: Invalid JWT Signature.', {})"
    assert isinstance(error_for("UNAVAILABLE", told), Rejected)


@VERSION
def test_nothing_is_tried_again_behind_our_back_while_the_service_is_down(engine, version):
    # v1's own default is to try again for 5000 s, and each attempt eats a request: the first is the configuration.
    with FakeGoogle() as google:
        address = google.address
    talk = Talk(engine(address, version=version)).say(mulaw([], 1.0))
    assert isinstance(talk.rest(), Unavailable)


def test_a_connection_that_breaks_ends_its_streams_and_the_next_one_is_new(engine):
    with FakeGoogle() as google:
        host, port = google.address.split(":")
        with Proxy((host, int(port)), up=[reset(after=12_000)]) as proxy:
            talker = engine("{}:{}".format(*proxy.address))
            broken = Talk(talker).say(mulaw([], 3.0))
            assert isinstance(broken.rest(), Unavailable)
            sound, words = spoken(1)
            until(lambda: Talk(talker).say(sound).end() is None)  # gRPC waits a moment before it connects again
    assert len({stream.metadata["peer"] for stream in google.streams}) == 2
    assert [word.text for word in google.streams[-1].words] == [word for word, _, _ in words]


@VERSION
def test_a_hundred_streams_and_more_at_once_each_hears_its_own_words(engine, version):
    count = 200
    sounds = [spoken(5, start=10 * number) for number in range(count)]
    with FakeGoogle(quota=count) as google:
        talker = engine(google, version=version)
        talks = [Talk(talker) for _ in range(count)]
        for talk, (sound, _) in zip(talks, sounds, strict=True):
            talk.say(sound, 1600)
        until(lambda: sum(stream.seconds >= 2.5 for stream in google.streams) == count)
        assert google.live == count
        for talk in talks:
            talk.stream.end()
        assert Counter(talk.rest() for talk in talks) == {None: count}
    for talk, (_, words) in zip(talks, sounds, strict=True):
        assert [word for word, _, _ in talk.words] == [word for word, _, _ in words]
    assert len({stream.metadata["peer"] for stream in google.streams}) == 3  # connections, of at most 90 each


def test_a_stream_that_is_given_up_says_no_more_and_holds_nothing(engine):
    with FakeGoogle(fault=lambda number: StreamFault("hang", 0.5)) as google:
        talk = Talk(engine(google)).say(mulaw([], 2.0))
        until(lambda: google.streams and google.streams[0].seconds >= 0.5)
        talk.stream.cancel()
        talk.stream.send(b"x")
        talk.stream.end()
        until(lambda: google.live == 0)
    assert talk.heard.empty()
    assert google.streams[0].outcome == "CANCELLED"


def test_audio_that_the_service_does_not_take_is_bounded(engine):
    with FakeGoogle(fault=lambda number: StreamFault("hang")) as google:
        talk = Talk(engine(google))
        until(lambda: google.streams)
        for _ in range(400):  # of 1 s; the connection itself takes some
            talk.stream.send(bytes(8000))
        error = talk.rest()
    assert isinstance(error, Unavailable)
    assert "no audio" in str(error)


def test_an_engine_that_is_closed_ends_its_streams(engine):
    with FakeGoogle() as google:
        talker = engine(google)
        talk = Talk(talker).say(mulaw([], 1.0))
        until(lambda: google.streams)
        talker.close()
        assert isinstance(talk.rest(), Unavailable)
        talk.stream.send(b"x")  # too late, and no error


def test_a_connection_that_cannot_even_be_made_is_told_to_the_stream(engine, monkeypatch):
    with FakeGoogle() as google:
        talker = engine(google)
        monkeypatch.setattr(talker._client, "_connect", lambda: 1 / 0)
        assert isinstance(Talk(talker).rest(), Unavailable)
