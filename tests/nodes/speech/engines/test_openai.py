"""The engine `openai` against the fake, over real HTTP: what it sends, its errors, and the conformance suite."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest
from pydantic import ValidationError

from flowcore import Word
from flowcore.errors import GraphError
from flowcore.graph.load import load_text
from flowcore.speech import Decoded, DecodeFailed, Rejected
from nodes.speech.engines.moonshine_files import TINY
from nodes.speech.engines.moonshine_model import MoonshineModel
from nodes.speech.engines.openai import OpenAI, timed_words
from nodes.speech.engines.openai_requests import DEADLINE, Requests
from nodes.speech.testing import DecoderConformance
from tests.support.live import PATIENCE
from tests.support.ports import free_port
from tools.fake_openai import FileService
from tools.fake_openai.rules import KEY, Refused, too_many
from tools.voices import telephone
from tools.wer import BECKETT

pytest.importorskip("httpx")
soxr = pytest.importorskip("soxr")
SPEECH = np.full(16000, 1000, np.int16)
BUSY = Refused(503, "The engine is currently overloaded, please try again later.", type="server_error")
GRAPH = """
flowcore: 1
nodes:
  call: {{use: ringcx}}
  voices: {{use: reorder, from: call}}
  words: {{use: transcribe, from: voices, with: {{engine: {engine}}}}}
  text: {{use: console, from: words}}
"""


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


class Clock:
    """Time that passes only while the engine waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@contextlib.contextmanager
def opened(url: str, clock: Clock | None = None, **config):
    engine = OpenAI(OpenAI.Config(url=url, **config))
    engine.open()
    if clock is not None:
        engine._requests.close()
        engine._requests = Requests(engine.config, engine.config.timeout, clock, clock.wait)
    try:
        yield engine
    finally:
        engine.close()


def says(text: str):
    return lambda samples: text


def test_an_utterance_is_a_wav_file_with_the_hints_of_the_graph():
    with FileService(says(" Hello. ")) as service, opened(service.url, language="de", prompt="Acme") as engine:
        assert engine.decode(SPEECH).text == "Hello."
    (request,) = service.requests
    assert request.fields == {
        "model": "gpt-4o-transcribe", "response_format": "json", "language": "de", "prompt": "Acme",
    }  # fmt: skip
    assert request.rate == 16000
    assert np.array_equal(request.samples, SPEECH)


def test_times_of_words_are_asked_for_where_a_model_has_them():
    with FileService(says("one two")) as service, opened(service.url, model="whisper-1", words=True) as engine:
        assert engine.decode(SPEECH) == Decoded("one two", words=(Word("one", 0.0, 0.5), Word("two", 0.5, 1.0)))
    (request,) = service.requests
    assert request.fields["response_format"] == "verbose_json"
    assert request.fields["timestamp_granularities[]"] == "word"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            [{"word": "hello", "start": 0, "end": 0.4}, {"word": "you", "start": 0.4, "end": 1.2}],
            [(0, 0.4), (0.4, 1.0)],
        ),
        ([{"word": "hello", "start": 0, "end": 0.4}], []),
        ([{"word": "hello", "start": 0.5, "end": 0.4}, {"word": "you", "start": 0.4, "end": 1}], []),
        ([{"word": "hello", "start": -1, "end": 0.4}, {"word": "you", "start": 0.4, "end": 1}], []),
        ([{"word": "hello", "start": "x", "end": 0.4}, {"word": "you"}], []),
        ("hello you", []),
        (None, []),
    ],
)
def test_times_that_do_not_fit_the_text_are_left_out(found, words):
    timed = timed_words("Hello, you.", found, 1.0)
    assert [(word.start, word.end) for word in timed] == words
    assert [word.text for word in timed] == ["Hello,", "you."][: len(words)]


def test_audio_that_the_service_finds_too_short_gets_silence():
    with FileService(says("a")) as service, opened(service.url) as engine:
        assert engine.decode(SPEECH[:1]).text == "a"
        assert engine.decode(SPEECH[:0]).text == ""
    assert [len(request.samples) for request in service.requests] == [1600]


def test_a_prompt_that_comes_back_for_silence_is_no_text():
    prompt = "Acme Router and Acme Switch"
    with FileService(says("hello")) as service, opened(service.url, prompt=prompt) as engine:
        assert engine.decode(np.zeros(16000, np.int16)).text == ""
        assert [request.fields.get("prompt") for request in service.requests] == [prompt, None]


def test_phrases_are_part_of_the_prompt_also_for_the_guard_against_echo():
    with FileService(says("hello")) as service, opened(service.url, prompt="Routers.") as engine:
        engine.decode(SPEECH, ("Acme Router", "X200"))
        assert service.requests[-1].fields["prompt"] == "Routers. Acme Router, X200"
    echo = "Routers. Acme Router, X200"
    with FileService(says("hello")) as service, opened(service.url) as engine:
        assert engine.decode(np.zeros(16000, np.int16), (echo,)).text == ""
        assert [request.fields.get("prompt") for request in service.requests] == [echo, None]


def test_words_of_the_prompt_that_were_spoken_are_kept():
    with FileService(says("Acme Router and Acme Switch")) as service:
        with opened(service.url, prompt="Acme Router and Acme Switch") as engine:
            assert engine.decode(SPEECH).text == "Acme Router and Acme Switch"
        assert len(service.requests) == 2  # the second without the prompt
        with opened(service.url, prompt="Acme Router") as engine:
            assert engine.decode(SPEECH).text == "Acme Router and Acme Switch"


@pytest.mark.parametrize(
    ("config", "key", "text"),
    [
        ({}, "sk-wrong-key-98765", r"^127\.0\.0\.1:\d+ refuses the key in OPENAI_API_KEY$"),
        ({"model": "gpt-9"}, KEY, r"404: The model `gpt-9` does not exist or you do not have access to it\.$"),
        ({"key_variable": ""}, KEY, "refuses a request without a key$"),
    ],
)
def test_what_will_never_work_is_rejected_at_once_with_one_line_without_the_key(monkeypatch, config, key, text):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with FileService(says("x")) as service, opened(service.url, **config) as engine:
        with pytest.raises(Rejected, match=text) as raised:
            engine.decode(SPEECH)
        assert service.attempts == 1
    assert key[-4:] not in str(raised.value)


@pytest.mark.parametrize("fault", [BUSY, too_many(2.0), Refused(500, "oops", type="server_error")])
def test_a_temporary_error_costs_no_utterance(fault):
    clock = Clock()
    with FileService(says("hello")) as service, opened(service.url, clock) as engine:
        service.faults.append(fault)
        assert engine.decode(SPEECH).text == "hello"
    assert clock.waits == [2.0 if fault.status == 429 else 0.5]  # as the service says, or a pause


def test_a_service_that_stays_down_costs_the_utterance_after_a_bounded_time():
    clock = Clock()
    with FileService(says("hello")) as service, opened(service.url, clock) as engine:
        service.faults.extend([BUSY] * 50)
        with pytest.raises(DecodeFailed, match="503: The engine is currently overloaded"):
            engine.decode(SPEECH)
    assert clock.waits == [0.5, 1.0, 2.0, 4.0]
    assert clock.now <= DEADLINE


def test_a_limit_that_lasts_longer_than_an_utterance_may_wait_is_not_waited_for():
    clock = Clock()
    with FileService(says("hello"), per_minute=1, clock=clock) as service, opened(service.url, clock) as engine:
        assert engine.decode(SPEECH).text == "hello"
        with pytest.raises(DecodeFailed, match="429: Rate limit reached"):
            engine.decode(SPEECH)
    assert clock.waits == []


def test_a_quota_that_is_used_up_is_not_waited_for():
    clock = Clock()
    with FileService(says("hello")) as service, opened(service.url, clock) as engine:
        service.faults.append(Refused(429, "You exceeded your current quota.", "insufficient_quota"))
        with pytest.raises(DecodeFailed, match="You exceeded your current quota"):
            engine.decode(SPEECH)
    assert clock.waits == []


def test_an_utterance_that_the_service_cannot_read_costs_itself_only():
    with FileService(says("hello")) as service, opened(service.url) as engine:
        service.faults.append(Refused(400, "Audio file might be corrupted or unsupported", "invalid_value"))
        with pytest.raises(DecodeFailed, match="400: Audio file might be corrupted"):
            engine.decode(SPEECH)
        assert engine.decode(SPEECH).text == "hello"


def test_an_unreachable_host_is_named():
    unreachable = pytest.raises(DecodeFailed, match=r"^127\.0\.0\.1:\d+ cannot be used: .*refused")
    with opened(f"http://127.0.0.1:{free_port()}/v1", Clock()) as engine, unreachable:
        engine.decode(SPEECH)


def drip(handler: BaseHTTPRequestHandler) -> None:
    """Answer one byte after the other, for ever."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(b" ")
            handler.wfile.flush()


def hang(handler: BaseHTTPRequestHandler) -> None:
    """Give no answer until the client hangs up."""
    handler.rfile.read(1)
    handler.close_connection = True


def flood(handler: BaseHTTPRequestHandler) -> None:
    """Answer without an end."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000000")
    handler.end_headers()
    with contextlib.suppress(OSError):
        for _ in range(1000):
            handler.wfile.write(b" " * 100_000)


def no_json(handler: BaseHTTPRequestHandler) -> None:
    """Answer as a proxy that lost its server might."""
    handler.send_response(200)
    handler.send_header("Content-Length", "6")
    handler.end_headers()
    handler.wfile.write(b"<html>")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (hang, "gave no answer within 0.5 s"),
        (flood, "more than 1048576 bytes"),
        (no_json, "an answer that is no JSON object"),
    ],
)
def test_a_service_that_answers_badly_is_tried_again_and_then_named(fault, text):
    clock = Clock()
    with FileService(says("hello")) as service, opened(service.url, clock, timeout="500ms") as engine:
        service.faults.extend([fault, fault])
        assert engine.decode(SPEECH).text == "hello"
        service.faults.extend([fault] * 20)
        with pytest.raises(DecodeFailed, match=text):
            engine.decode(SPEECH)


@pytest.mark.slow
def test_an_answer_that_drips_is_given_up():
    with FileService(says("hello")) as service, opened(service.url, timeout="500ms") as engine:
        service.faults.append(drip)
        assert engine.decode(SPEECH).text == "hello"
        assert service.attempts == 2


def test_an_answer_without_a_text_is_no_silence():
    def other(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "15")
        handler.end_headers()
        handler.wfile.write(b'{"words": "no"}')

    with FileService(says("hello")) as service, opened(service.url) as engine:
        service.faults.append(other)
        with pytest.raises(DecodeFailed, match="sent an answer without a text"):
            engine.decode(SPEECH)


def problem_of(engine: str) -> str:
    with pytest.raises(GraphError) as error:
        load_text(GRAPH.format(engine=engine))
    return " ".join(problem.message for problem in error.value.problems)


@pytest.mark.parametrize("engine", ["openai", "openai_realtime"])
def test_check_tells_a_missing_key_before_the_first_call(monkeypatch, engine):
    monkeypatch.delenv("OPENAI_API_KEY")
    found = problem_of(engine)
    assert "set OPENAI_API_KEY in the environment to the key of api.openai.com" in found
    assert 'key_variable: ""' in found
    load_text(GRAPH.format(engine=f'{{use: {engine}, url: "http://127.0.0.1:8000/v1", key_variable: ""}}'))


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ("url: api.openai.com", "write it like https://api.openai.com/v1"),
        ('url: "http://speech.example/v1"', "the key would travel to speech.example unencrypted"),
        ("language: de-DE", "write de"),
        ("language: deutsch", "'deutsch' is no code of ISO 639: write it like de"),
        ("words: true", "gpt-4o-transcribe gives no times of words: take whisper-1"),
        ("key: sk-123", "openai has no such field"),
    ],
)
def test_check_refuses_what_cannot_work_with_what_to_write(fields, advice):
    assert advice in problem_of(f"{{use: openai, {fields}}}")


def test_a_server_without_a_key_is_asked_without_one(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    assert OpenAI.Config(url="http://speech.example/v1", key_variable="").headers == {}
    with pytest.raises(ValidationError, match="OPENAI_API_KEY"):
        OpenAI.Config()


@pytest.mark.model
class TestConformance(DecoderConformance):
    """The suite that every decoder has to pass; the service's model is the embedded one."""

    engine = "openai"

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _service(cls):
        model, one_at_a_time = MoonshineModel(TINY), threading.Lock()

        def recognise(samples: np.ndarray) -> str:
            with one_at_a_time:
                return model.decode(samples).text

        with FileService(recognise) as service, pytest.MonkeyPatch.context() as patch:
            patch.setenv("OPENAI_API_KEY", KEY)
            patch.setattr("nodes.speech.engines.openai_requests.DEADLINE", PATIENCE)  # the model has a busy machine
            cls.config = {"url": service.url, "timeout": f"{PATIENCE}s"}
            yield

    def speech(self):
        samples = soxr.resample(telephone("beckett.wav"), 8000, 16000)
        return np.concatenate([samples, np.zeros(8000, np.int16)]), BECKETT
