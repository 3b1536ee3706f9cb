"""Row 46: tap clients cost a call nothing, however badly they listen."""

import gc
from contextlib import ExitStack

import psutil
import pytest

from flowcore.control import TapConnection
from flowcore.control.taps import MAX_QUEUE
from tests.support.asking import call, hub
from tests.support.live import Live, until
from tests.support.phone import said, stereo

pytestmark = pytest.mark.slow

SECONDS = 16.0
FLAT = 8 * 1024 * 1024
"""Bytes; kernel's buffers and short queues of all listeners together hold less than 2 MiB."""


@pytest.mark.fault(46)
def test_of_20_listeners_10_stand_still_and_the_recording_is_exact(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with (
        Live("record", [f"wav.path={tmp_path}/{{call_id}}.wav", "ordered.hold=collapse"]) as live,  # it keeps no time
        hub(live) as control,
        ExitStack() as opened,
    ):
        phone = call(live, "one")
        listeners = [opened.enter_context(TapConnection(control, "one", "voices")) for _ in range(20)]
        awake = listeners[10:]
        (flow,) = live.engine.flows.values()
        clients = [probe.__self__ for _, probe in flow.runs["voices"]._active_probes]
        assert len(clients) == len(listeners)
        memory = 0
        for second in range(round(SECONDS)):
            phone.talk(call=second, seconds=1.0)
            for listening in awake:
                list(listening.messages(0.01))
            if second == 3:
                gc.collect()
                memory = psutil.Process().memory_info().rss
        until(lambda: min(client.taken for client in clients) >= 2 * 5 * (SECONDS - 1))
        assert all(len(client.queue) <= MAX_QUEUE for client in clients)
        gc.collect()
        assert psutil.Process().memory_info().rss - memory < FLAT
        for listening in listeners[5:15]:  # some leave in the middle, of both kinds
            listening.close()
        phone.talk(call=99, seconds=1.0)
        phone.stop()
        phone.hang_up()
        until(lambda: not live.engine.flows)
        for listening in listeners[15:]:
            while listening.end is None:
                list(listening.messages(1.0))
            assert listening.end == "stop"
    recorded = stereo(tmp_path / "one.wav")
    for second in range(round(SECONDS)):
        assert (recorded[second * 8000 : (second + 1) * 8000] == said(second, 1.0)).all()
    assert not live.dropped()
