"""`flowcore stream` as its users type it, against a platform that speaks real HTTP."""

from __future__ import annotations

import json
import threading
from functools import partial

import pytest

from tests.nodes.ringcx.rest.conftest import SECRET
from tools.fake_platform import Answer

DIALOG, SEGMENT = "s-v-93bd0e6f0f0a479ea8025fe8f8ec3e1d-1721690897808", "p-v-93bd0e6f-190dcc63d90ab"
UII = "202603020901250144700000000001"
HERE = ("--dialog", DIALOG)
URL = ("--url", "wss://calls.example.com:8443/ringcx/audio")


@pytest.fixture
def stream(command, platform):
    platform.dialogs[DIALOG] = {SEGMENT}
    platform.calls[UII] = {"Recording": True, "Hold": False}
    return partial(command, "stream")


def test_a_stream_of_a_running_dialog_is_started_and_stopped(stream, platform):
    code, out, _ = stream("start", *HERE, *URL)
    assert (code, out) == (0, f"started stream flowcore-{DIALOG} of dialog {DIALOG}\n")
    assert platform.streams == {
        (DIALOG, "", f"flowcore-{DIALOG}"): {"url": URL[1], "streamId": f"flowcore-{DIALOG}", "token": SECRET}
    }
    code, out, _ = stream("stop", *HERE)
    assert (code, out) == (0, f"stopped stream flowcore-{DIALOG} of dialog {DIALOG}\n")
    assert not platform.streams


def test_a_stream_of_one_participant_is_started_and_stopped(stream, platform):
    code, out, _ = stream("start", *HERE, "--segment", SEGMENT, "--url", "grpc://calls.example.com:443", "--id", "mine")
    assert (code, out) == (0, f"started stream mine of segment {SEGMENT} of dialog {DIALOG}\n")
    assert set(platform.streams) == {(DIALOG, SEGMENT, "mine")}
    assert stream("stop", *HERE, "--segment", SEGMENT, "--id", "mine")[0] == 0
    assert not platform.streams


def test_without_a_secret_the_stream_has_no_token(stream, platform, monkeypatch):
    monkeypatch.delenv("RINGCX_SECRET")
    code, _, err = stream("start", *HERE, *URL)
    assert code == 0
    assert "RINGCX_SECRET is not set, so anyone" in err
    assert "token" not in platform.streams[DIALOG, "", f"flowcore-{DIALOG}"]


def test_recording_and_hold_of_a_running_call_are_switched(stream, platform):
    assert stream("recording", "off", "--call", UII)[:2] == (0, f"recording of call {UII}: off\n")
    assert stream("hold", "on", "--call", UII)[:2] == (0, f"hold of call {UII}: on\n")
    assert platform.calls[UII] == {"Recording": False, "Hold": True}
    stream("recording", "on", "--call", UII)
    stream("hold", "off", "--call", UII)
    assert platform.calls[UII] == {"Recording": True, "Hold": False}


def test_a_switch_that_ringcx_does_not_make_is_an_error(stream, platform):
    platform.next.append(Answer(body=False))
    code, out, err = stream("hold", "on", "--call", UII)
    assert (code, out) == (1, "")
    assert "RingCX answers false: it changed nothing" in err


START, STOP, HOLD = ("start", *HERE, *URL), ("stop", *HERE), ("hold", "on", "--call", UII)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("start", "--dialog", UII, *URL),
            f"404: dialog {UII} does not run: it is over, or the id is of something else",
        ),
        (("start", *HERE, "--segment", "p-v-9", *URL), f"404: segment p-v-9 of dialog {DIALOG} does not run"),
        (
            (*START, "--rc-account", "1"),
            "403: this user may not control streams of sub-account 99990001 of RingCentral",
        ),
        (
            (*STOP, "--sub-account", "1"),
            "403: this user may not control streams of sub-account 1 of RingCentral account",
        ),
        ((*STOP, "--id", "another"), f"404: dialog {DIALOG} has no stream another, or is over"),
        (
            ("recording", "on", "--call", DIALOG),
            f"404: call {DIALOG} does not run: it is over, or the id is of something",
        ),
        ((*HOLD, "--sub-account", "1"), "403: this user may not control calls of sub-account 1: give the user"),
    ],
)
def test_what_ringcx_refuses_is_explained_in_one_line(stream, platform, arguments, says):
    before = len(platform.seen)
    code, out, err = stream(*arguments)
    assert (code, out) == (1, "")
    assert says in err.splitlines()[0]
    assert sum(seen.path.startswith("/voice/") for seen in platform.seen[before:]) == 1  # never repeated


def test_a_second_start_is_refused_and_says_what_to_do(stream, platform):
    stream(*START)
    code, _, err = stream(*START)
    assert code == 1
    assert "409: " in err
    assert "already: stop it first, or choose another stream id" in err
    assert platform.count("/voice/") == 2


@pytest.mark.parametrize(
    ("arguments", "answer", "says"),
    [
        (START, Answer(400, "no"), "400: it rejects the request: check the ids and the address"),
        (STOP, Answer(409, "no"), "409: stream flowcore-s-v-"),
        (START, Answer(429, "no", {"Retry-After": "9"}), "429: too many requests: try again in 9 s"),
        (START, Answer(503, "no"), "503: it has an internal error: try again later; the stream may have started: look"),
        (STOP, Answer(500, "no"), "500: it has an internal error: try again later; the stream may still run: look at"),
        (HOLD, Answer(500, "no"), "500: it has an internal error: try again later; the change may have been made: ask"),
        (HOLD, Answer(400, "no"), "400: it rejects the request: check the ids"),
        (START, Answer(403, f"{SECRET}"), "403: this user may not control streams"),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Answer) else "",
)
def test_every_failure_is_explained_in_one_line_and_not_repeated(stream, platform, arguments, answer, says):
    platform.next.append(answer)
    code, out, err = stream(*arguments)
    assert (code, out) == (1, "")
    assert says in err.splitlines()[0]
    assert platform.count("/voice/") == 1


def test_a_start_without_an_answer_is_not_repeated(stream, platform):
    stream("hold", "off", "--call", UII)  # which logs in: that takes the time that it takes
    platform.next.append(Answer(silent=threading.Event()))
    code, _, err = stream(*START, "--timeout", "200ms")
    assert code == 1
    assert "does not answer within 0.2 s; the stream may have started: look at `flowcore calls` before you start" in err
    assert platform.count("/voice/api/cx") == 1


def test_an_expired_token_is_renewed_before_the_stream_starts(stream, platform):
    stream("hold", "off", "--call", UII)
    platform.expire()
    assert stream(*START)[0] == 0
    assert len(platform.streams) == 1


def test_dry_run_prints_the_request_masked_and_sends_nothing(stream, platform, monkeypatch):
    for name in ("RC_APP_CLIENT_ID", "RC_APP_CLIENT_SECRET", "RC_USER_JWT"):
        monkeypatch.delenv(name)
    code, out, _ = stream(*START, "--dry-run")
    path = f"/voice/api/cx/integration/v1/accounts/123456789/sub-accounts/99990001/dialogs/{DIALOG}/streams"
    assert code == 0
    assert out.startswith(f"POST {platform.url}{path}\nauthorization: Bearer ***\n")
    assert json.loads(out.partition("\n\n")[2]) == {
        "url": URL[1],
        "streamId": f"flowcore-{DIALOG}",
        "token": "***",
    }
    assert stream(*STOP, "--dry-run")[1] == (
        f"DELETE {platform.url}{path}/flowcore-{DIALOG}\nauthorization: Bearer ***\n"
    )
    assert stream(*HOLD, "--dry-run")[1] == (
        f"POST {platform.url}/voice/api/v1/admin/accounts/99990001/activeCalls/{UII}/toggleCallHold?state=ON\n"
        "authorization: Bearer ***\n"
    )
    assert not platform.seen


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("start", "--dialog", "..", *URL), '".." is no dialog id'),
        (("start", *HERE, *URL, "--id", "two words"), '"two words" is no stream id'),
        (("start", *HERE, "--url", "https://calls.example.com"), "it must begin with wss:// or grpc://"),
        (("hold", "maybe", "--call", UII), "'maybe' is not one of 'on', 'off'"),
        (("stop",), "Missing option '--dialog'"),
    ],
)
def test_a_wrong_command_line_sends_nothing(stream, platform, arguments, says):
    code, _, err = stream(*arguments)
    assert code == 2
    assert says in err
    assert not platform.seen


def test_missing_settings_are_all_named(stream, platform, monkeypatch):
    monkeypatch.delenv("RC_USER_JWT")
    code, _, err = stream(*STOP)
    assert code == 2
    assert "set RC_USER_JWT in the environment" in err
    assert not platform.seen
