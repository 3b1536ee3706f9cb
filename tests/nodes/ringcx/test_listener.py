"""The listener of both transports: a call is the same whichever one it comes by."""

from __future__ import annotations

import filecmp

import pytest

from flowcore.control import find_call
from nodes.audio.g711 import RATE
from nodes.simulators.known_audio import voice
from tests.support.asking import hub
from tests.support.live import PATIENCE, Live, until
from tests.support.transports import TRANSPORTS, dial, hang_up
from tests.support.watching import shown
from tools import voices

pytestmark = pytest.mark.slow

SECONDS = 8
CHUNK = {"websocket": 160, "grpc": 800}
"""Bytes of a message of RingCX."""


@pytest.mark.model
def test_the_same_call_over_both_transports_is_found_by_any_id_and_has_the_same_page_files_and_words(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("nodes.transforms.transcribe.FLUSH_TIMEOUT", PATIENCE)  # seconds that a busy machine may need
    voices.main(str(tmp_path))
    files = {"agent": "agent.wav", "customer": "caller.wav"}
    said = {track: voice(tmp_path / name)[: SECONDS * RATE] for track, name in files.items()}
    settings = [f"wav.path={tmp_path}/{{call_id}}.wav", f"text.path={tmp_path}/{{call_id}}.txt"]
    settings += ["words.enough=0s"]  # no context, which depends on the load of the decoders
    pages = {}
    with Live("transcribe", settings, drain=PATIENCE) as live, hub(live) as control:
        for number, transport in enumerate(TRANSPORTS, 1):
            names = [f"2026113012000{number}", f"s-v-{number}", f"+1 (555) 010-012{number}"]
            phone = dial(transport, live.url, names[0], dialog_id=names[1], ani=f"1555010012{number}")
            size = CHUNK[transport]
            places = range(0, SECONDS * RATE, size)
            phone.say(*(phone.sender.media(track, said[track][at : at + size]) for at in places for track in said))
            until(lambda: live.engine.flows)
            assert [find_call(control, name)["call_id"] for name in names] == names[:1] * 3
            hang_up(phone)
            shown(live, names[0], "ended")  # who watches a live call sees its texts in another order than later
            found = [shown(live, name, "ended") for name in names]
            assert found == found[:1] * 3
            state, texts = found[0]
            pages[transport] = state, sorted((one["start"], one["end"], one["track"], one["text"]) for one in texts)
    assert pages["grpc"] == pages["websocket"]
    for suffix in ("wav", "txt"):
        assert filecmp.cmp(tmp_path / f"20261130120001.{suffix}", tmp_path / f"20261130120002.{suffix}", shallow=False)
    assert len((tmp_path / "20261130120001.txt").read_text().split()) > 20
