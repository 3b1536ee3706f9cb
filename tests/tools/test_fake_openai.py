"""The fake of OpenAI's transcription keeps the limits of the real one."""

import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from nodes.audio import wav
from tools.fake_google import mulaw
from tools.fake_openai import FileService, RealtimeService
from tools.fake_openai.rules import KEY, MAX_FILE, Refused, check_model

SECOND = np.full(16000, 1000, "<i2").tobytes()


@pytest.fixture(scope="module")
def files():
    with FileService(lambda samples: "hello") as service:
        yield service


def post(service, *, key=KEY, name="a.wav", content=None, path="/audio/transcriptions", **fields):
    """Send a form; return the status and the answer."""
    content = wav.header("s16", 16000, 1, len(SECOND)) + SECOND if content is None else content
    parts = [f'--x\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{text}\r\n' for key, text in fields.items()]
    head = "".join(parts) + f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x", "Authorization": f"Bearer {key}"}
    body = head.encode() + content + b"\r\n--x--\r\n"
    try:
        with urlopen(Request(service.url + path, body, headers)) as answer:
            return answer.status, json.load(answer)
    except HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)["error"]


def test_an_answer_has_the_words_and_with_whisper_their_times(files):
    status, answer = post(files, model="gpt-4o-transcribe")
    assert (status, answer["text"]) == (200, "hello")
    _, verbose = post(files, model="whisper-1", response_format="verbose_json", **{"timestamp_granularities[]": "word"})
    assert verbose["words"] == [{"word": "hello", "start": 0.0, "end": 1.0}]


@pytest.mark.parametrize(
    ("request_", "status", "text"),
    [
        ({"key": "sk-other"}, 401, "Incorrect API key"),
        ({"path": "/other"}, 404, "Invalid URL"),
        ({"model": "gpt-9"}, 404, "does not exist"),
        ({"model": ""}, 400, "must provide a model"),
        ({"language": "de-DE"}, 400, "ISO-639-1"),
        ({"response_format": "verbose_json"}, 400, "not compatible"),
        ({"name": "a.txt"}, 400, "Invalid file format"),
        ({"content": b"RIFF"}, 400, "Invalid file format"),
        ({"content": wav.header("s16", 16000, 1, 100) + bytes(100)}, 400, "too short"),
        ({"content": bytes(MAX_FILE)}, 413, "Maximum content size limit"),
    ],
)
def test_what_the_real_service_refuses_is_refused(files, request_, status, text):
    found, error = post(files, **{"model": "gpt-4o-transcribe", **request_})
    assert (found, text in error["message"]) == (status, True), error


def test_too_many_requests_in_a_minute_are_told_when_to_come_again():
    now = [0.0]
    with FileService(lambda samples: "hello", per_minute=1, clock=lambda: now[0]) as service:
        assert post(service, model="whisper-1")[0] == 200
        now[0] = 59.0
        assert post(service, model="whisper-1")[0] == 429
        now[0] = 60.0
        assert post(service, model="whisper-1")[0] == 200


def update(model="gpt-live-transcribe", format={"type": "audio/pcmu"}, turn_detection=None, **hints):  # noqa: B006
    audio = {"format": format, "transcription": {"model": model, **hints}, "turn_detection": turn_detection}
    return {"type": "session.update", "session": {"type": "transcription", "audio": {"input": audio}}}


def asked(service, *events):
    """The types of all answers, and the codes of errors."""
    url = service.url.replace("http", "ws") + "/realtime?intent=transcription"
    with connect(url, additional_headers={"Authorization": f"Bearer {KEY}"}) as socket:
        for event in (*events, {"type": "the.end"}):
            socket.send(json.dumps(event))
        found = []
        while not found or found[-1] != ("error", "type"):
            answer = json.loads(socket.recv(timeout=30))
            error = answer.get("error", {})
            found.append((answer["type"], error.get("code") if error.get("param") != "type" else "type"))
        return found[1:-1]


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (update(model="gpt-9"), "model_not_found"),
        (update(format={"type": "audio/pcm", "rate": 16000}), "invalid_value"),
        (update(turn_detection={"type": "server_vad"}), "invalid_value"),
        (update(language="de-DE"), "invalid_language_format"),
        ({"type": "input_audio_buffer.append", "audio": ""}, None),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty"),
    ],
)
def test_wrong_events_of_a_session_are_errors(event, code):
    with RealtimeService() as service:
        assert asked(service, event) == [("error", code)]


def test_a_turn_has_its_item_its_deltas_and_its_text():
    import base64

    sound = base64.b64encode(mulaw([(7, 0.0, 0.3)], 0.5)).decode()
    with RealtimeService() as service:
        found = asked(
            service,
            update(),
            {"type": "input_audio_buffer.append", "audio": sound},
            {"type": "input_audio_buffer.commit"},
        )
        assert service.sessions[0].turns == ["w7"]
    assert [kind.rpartition(".")[2] for kind, _ in found] == ["updated", "delta", "committed", "completed"]


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [("/other", KEY, 404), ("/realtime", KEY, 400), ("/realtime?intent=transcription", "x", 401)],
)
def test_a_connection_that_the_real_service_refuses_is_refused(path, key, status):
    with RealtimeService() as service, pytest.raises(InvalidStatus) as refused:
        connect(service.url.replace("http", "ws") + path, additional_headers={"Authorization": f"Bearer {key}"})
    assert refused.value.response.status_code == status


def test_a_model_is_needed():
    with pytest.raises(Refused):
        check_model(None, ())
