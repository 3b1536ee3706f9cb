"""`flowcore who` as its users type it, against a platform that speaks real HTTP."""

import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from flowcore.call_log.database import Database
from tests.call_log.rig import ended, journalled, replayed
from tests.nodes.ringcx.rest import calls
from tests.nodes.ringcx.rest.calls import call_file, segment
from tools.fake_platform import Answer


@pytest.fixture
def who(command, tmp_path):
    return partial(command, "who", str(tmp_path / "recordings"))


@pytest.fixture
def recording(tmp_path):
    return call_file(tmp_path / "recordings" / "a.wav.json", call_id="uii-1", ani="2223334444")


def test_agents_are_added_and_nothing_personal_is_printed(who, platform, recording):
    platform.interactions = [segment(1, 7, agentNotes="Broken leg.", agentDisposition="SALE")]
    code, out, err = who()
    assert (code, out, err) == (0, "1 file completed\n", "")
    (agent,) = json.loads(recording.read_text())["agents"]
    assert (agent["name"], agent["disposition"], agent["notes"]) == ("Agent 7", "SALE", "Broken leg.")
    assert who() == (0, "0 files completed\n", "")
    assert platform.count("/voice/") == 1


@pytest.fixture
def call_log(tmp_path):
    began = datetime.fromtimestamp(calls.BEGAN, UTC)
    times = {"started": began.isoformat(), "ended": (began + timedelta(seconds=60)).isoformat()}
    database = Database(f"{tmp_path}/calls.sqlite")
    rows = (ended("a", ids={"call_id": "uii-1"}, **times), ended("nameless", ids={}, **times))
    journalled(tmp_path / "waiting", *rows)
    replayed(tmp_path / "waiting", database)
    yield database
    database.close()


def test_the_call_log_is_completed_with_the_same_request(who, platform, recording, call_log):
    platform.interactions = [segment(1, 7)]
    place = ("--call-log", str(call_log.path))
    assert who(*place) == (0, "1 file and 1 row of the call log completed\n", "")
    assert platform.count("/voice/") == 1
    agents = {row["flow"]: row["agents"] for row in call_log.find()}
    assert agents == {"a": json.loads(recording.read_text())["agents"], "nameless": None}
    assert who(*place)[1] == "0 files completed\n"


def test_a_call_log_that_is_not_there_is_told(who, platform, recording, tmp_path):
    code, _, err = who("--call-log", str(tmp_path / "other.sqlite"))
    assert code == 2
    assert "no call log at" in err
    assert not platform.seen


def test_what_has_to_wait_is_counted(who, platform, recording):
    call_file(recording.with_name("new.wav.json"), call_id="uii-2", seconds=10.0, age=-3580.0)
    unknown, early = "1 file of calls that RingCX does not know", "1 file of calls that ended less than 15 minutes ago"
    assert who()[1] == f"0 files completed; {unknown}; {early}\n"


def test_calls_before_since_are_not_asked_for(who, platform, recording):
    assert who("--since", "30min") == (0, "0 files completed\n", "")
    assert not platform.seen


def test_dry_run_shows_the_requests_and_changes_nothing(who, platform, recording):
    before = recording.read_bytes()
    code, out, _ = who("--dry-run")
    assert code == 0
    path = "/voice/api/cx/integration/v2/accounts/123456789/sub-accounts/99990001/interaction-metadata"
    assert out.startswith(f"POST {platform.url}{path}\nauthorization: Bearer ***\ncontent-type: application/json\n\n")
    assert 3200 < int(re.search('"timeInterval": ([0-9]+)', out)[1]) < 3600
    assert out.endswith("1 file to complete\n")
    assert recording.read_bytes() == before
    assert not platform.seen


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(400, "no"), "400: it rejects the request: check the ids, and the clock of this machine"),
        (Answer(403, "no"), "403: this user may not read the calls of sub-account 99990001 of RingCentral account"),
        (Answer(429, "no", {"Retry-After": "60"}), "429: too many requests: try again in 60 s"),
        (Answer(500, "no"), "500: it has an internal error: try again later"),
        (Answer(body={"page": 1}), "RingCX answers without a list of interactions"),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Answer) else "",
)
def test_every_failure_is_explained_and_changes_nothing(who, platform, recording, answer, says):
    before = recording.read_bytes()
    platform.next.append(answer)
    code, _, err = who()
    assert code == 1
    assert says in err.splitlines()[0]
    assert recording.read_bytes() == before
    assert platform.count("/voice/") == 1


def test_a_wrong_folder_or_duration_is_told(who, platform, tmp_path):
    code, _, err = who()
    assert code == 2
    assert "recordings is no directory: give one with recordings or transcripts" in err
    (tmp_path / "recordings").mkdir()
    assert "--since" in who("--since", "soon")[2]
    assert not platform.seen


@pytest.mark.slow
def test_watch_goes_on_after_an_error_until_ctrl_c(who, platform, recording, tmp_path):
    platform.next.append(Answer(500, "no"))
    environ = os.environ | {"PYTHONUNBUFFERED": "1"}
    # A shell starts what runs in the background, maybe these tests too, with SIGINT ignored.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\nfrom flowcore.cli import main; main()"
    )
    arguments = [sys.executable, "-c", code, "who", "--watch", str(recording.parent)]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, env=environ) as process:
        assert "500: it has an internal error: try again later" in process.stderr.readline()
        assert process.stderr.readline() == "it says: no\n"
        assert process.stderr.readline() == "the next search is in 15 minutes\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
