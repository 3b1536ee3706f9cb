"""The load generator: its audio is what it says, its frames are legal, and it counts what goes wrong."""

import importlib.util
import json
import socket
import sys
import threading
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.sync.server import ServerConnection, serve

from flowcore import Audio, stamps
from flowcore.testing import joined, run
from nodes.audio import g711, wav
from nodes.simulators.known_audio import excerpt, stamped, voice
from nodes.transforms.decode_mulaw import DecodeMulaw
from tests.support.live import PATIENCE

pytestmark = pytest.mark.slow

PATH = Path(__file__).parents[2] / "tools" / "load.py"


@pytest.fixture(scope="module")
def load() -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location("load", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["load"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["load"]


def test_samples_are_what_the_decoder_makes_of_the_bytes(load: Any) -> None:
    coded = np.frombuffer(load.mulaw(3, "customer", 4), np.uint8)
    assert set(coded) == set(range(256))
    decoded = joined(run(DecodeMulaw, {}, [Audio(coded, "mulaw", 8000, "customer", 0)]))
    assert np.array_equal(decoded, load.samples(3, "customer", 4))


def test_every_party_of_every_call_has_audio_of_its_own(load: Any) -> None:
    voices = {load.mulaw(call, track, 1) for call in range(20) for track in load.TRACKS}
    assert len(voices) == 40
    assert {len(voice) for voice in voices} == {8000}


@pytest.mark.parametrize("together", [False, True])
def test_calls_arrive_whole_in_order_and_are_closed(load: Any, together: bool) -> None:
    calls: dict[str, list[dict[str, Any]]] = {}
    over = threading.Semaphore(0)

    def take(connection: ServerConnection) -> None:
        messages = [json.loads(message) for message in connection]
        calls[messages[1]["metadata"]["callId"]] = messages
        over.release()

    with serve(take, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        result = load.Load(f"ws://127.0.0.1:{port}/", 3, 0.5, together=together).run()
        assert all(over.acquire(timeout=PATIENCE) for _ in range(3))
        server.shutdown()
        thread.join()
    assert (result.messages, result.refused, result.closed, result.unclosed) == (150, 0, 0, 0)
    assert set(calls) == {load.call_id(call) for call in range(3)}
    for call in range(3):
        messages = calls[load.call_id(call)]
        assert [message["event"] for message in messages[-2:]] == ["Stop", "Stop"]
        for track, perspective in (("agent", "Participant"), ("customer", "Conference")):
            own = [message for message in messages if message.get("perspective") == perspective]
            assert b"".join(b64decode(message["media"]) for message in own) == load.mulaw(call, track, 0.5)
            assert [int(message["sequenceId"]) for message in own] == list(range(load.FIRST, load.FIRST + 25))


def test_voices_are_said_from_another_place_in_each_call(tmp_path: Any) -> None:
    path = tmp_path / "voice.wav"
    spoken = np.arange(8 * 8000, dtype=np.int16)
    path.write_bytes(wav.header("s16", 8000, 1, spoken.nbytes) + spoken.tobytes())
    coded = voice(path)
    assert coded == g711.encode(spoken).tobytes()
    assert excerpt(coded, 0, 10) == coded + coded[: 2 * 8000]
    assert excerpt(coded, 1, 5) == coded[3 * 8000 :]


def test_stamps_stand_where_they_are_said_to(load: Any) -> None:
    heard: list[Any] = []
    over = threading.Semaphore(0)

    def take(connection: ServerConnection) -> None:
        heard.extend(json.loads(message) for message in connection)
        over.release()

    with serve(take, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        load.Load(f"ws://127.0.0.1:{port}/", 1, 3, stamping=True, together=True).run()
        assert over.acquire(timeout=PATIENCE)
        server.shutdown()
        thread.join()
    said = dict.fromkeys(("Participant", "Conference"), b"")
    for message in heard:
        if message["event"] == "Media":
            said[message["perspective"]] += b64decode(message["media"])
    marked = stamped(0, 3)
    agent = np.frombuffer(said["Participant"], np.uint8)
    known = np.frombuffer(load.mulaw(0, "agent", 3), np.uint8)
    assert np.array_equal(agent[~marked], known[~marked])
    ages = [stamps.age(said["Participant"][at : at + 160]) for at in range(0, len(agent), 160)]
    assert [age is not None for age in ages] == list(marked[::160])  # also when the frames have come round again
    assert said["Conference"] == load.mulaw(0, "customer", 3)


def test_refused_calls_are_counted(load: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            for _ in range(2):
                connection, _address = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        result = load.Load(f"ws://127.0.0.1:{server.getsockname()[1]}/", 2, 0.1).run()
        thread.join()
    assert (result.refused, result.messages, result.fine) == (2, 0, False)
