"""The load generator over gRPC: calls arrive whole, and failures are counted."""

import socket

import numpy as np
import pytest

from flowcore.audio import TRACKS
from nodes.simulators.known_audio import samples
from nodes.simulators.load import call_id
from nodes.simulators.ringcx_grpc import Load
from tests.support.live import Live
from tests.support.phone import stereo
from tests.support.phone_grpc import over_grpc
from tests.support.recordings import stamped

pytestmark = pytest.mark.slow


def recording(folder, calls, *settings):
    settings = [f"wav.path={folder}/{{call_id}}.wav", *settings]
    return Live(over_grpc(folder, "record"), settings, calls=calls)


@pytest.mark.parametrize("together", [False, True])
def test_calls_arrive_whole(tmp_path, together):
    begun = []
    with recording(tmp_path, 2) as live:
        load = Load(live.url, 2, 0.5, together=together)
        load.talking = lambda: begun.append(True)
        result = load.run()
    assert begun == [True]
    assert (result.messages, result.refused, result.closed, result.unclosed) == (2 * 2 * 5, 0, 0, 0)
    for call in range(2):
        sent = np.stack([samples(call, track, 0.5) for track in TRACKS], axis=1)
        assert np.array_equal(stereo(tmp_path / f"{call_id(call)}.wav"), sent)


def test_stamps_replace_the_audio_where_the_mask_says(tmp_path):
    with recording(tmp_path, 1) as live:
        Load(live.url, 1, 1.0, stamping=True).run()
    agent = stereo(tmp_path / f"{call_id(0)}.wav")[:, 0]
    sent = samples(0, "agent", 1.0)
    assert np.array_equal(agent[~stamped(0, 1.0)], sent[~stamped(0, 1.0)])
    assert not np.array_equal(agent, sent)


def test_voices_are_repeated(tmp_path):
    coded = {track: bytes([0x80 + number]) * 4000 for number, track in enumerate(TRACKS)}
    with recording(tmp_path, 1) as live:
        Load(live.url, 1, 1.0, voices=coded).run()
    heard = stereo(tmp_path / f"{call_id(0)}.wav")
    assert len(heard) == 8000
    assert {len(np.unique(heard[:, party])) for party in range(2)} == {1}


def test_calls_beyond_the_limit_are_counted(tmp_path):
    with recording(tmp_path, 1, "call.max_calls_per_ip=1") as live:
        result = Load(live.url, 2, 0.5, settle=0.3).run()
    assert result.refused + result.closed == 1


def test_an_address_that_is_not_grpc_is_refused():
    with pytest.raises(ValueError, match="not an address like"):
        Load("ws://127.0.0.1:3333", 1, 1)


def test_a_missing_receiver_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(OSError, match="nothing listens there"):
        Load(f"grpc://127.0.0.1:{port}", 1, 1, timeout=0.3).run()
