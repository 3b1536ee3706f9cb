"""The load generator over WebSocket: its frames are legal, and it counts what fails."""

import json
import socket
import threading
from base64 import b64decode
from typing import Any

import numpy as np
import pytest
from websockets.sync.server import ServerConnection, serve

from flowcore import stamps
from nodes.simulators.known_audio import mulaw
from nodes.simulators.load import call_id
from nodes.simulators.ringcx import FIRST_SEQUENCE, Load
from tests.support.live import PATIENCE
from tests.support.recordings import stamped

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("together", [False, True])
def test_calls_arrive_whole_in_order_and_are_closed(together: bool) -> None:
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
        result = Load(f"ws://127.0.0.1:{port}/", 3, 0.5, together=together).run()
        assert all(over.acquire(timeout=PATIENCE) for _ in range(3))
        server.shutdown()
        thread.join()
    assert (result.messages, result.refused, result.closed, result.unclosed) == (150, 0, 0, 0)
    assert set(calls) == {call_id(call) for call in range(3)}
    for call in range(3):
        messages = calls[call_id(call)]
        assert [message["event"] for message in messages[-2:]] == ["Stop", "Stop"]
        for track, perspective in (("agent", "Participant"), ("customer", "Conference")):
            own = [message for message in messages if message.get("perspective") == perspective]
            assert b"".join(b64decode(message["media"]) for message in own) == mulaw(call, track, 0.5)
            assert [int(message["sequenceId"]) for message in own] == list(range(FIRST_SEQUENCE, FIRST_SEQUENCE + 25))


def test_stamps_stand_where_they_are_said_to() -> None:
    heard: list[Any] = []
    over = threading.Semaphore(0)

    def take(connection: ServerConnection) -> None:
        heard.extend(json.loads(message) for message in connection)
        over.release()

    with serve(take, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        Load(f"ws://127.0.0.1:{port}/", 1, 3, stamping=True, together=True).run()
        assert over.acquire(timeout=PATIENCE)
        server.shutdown()
        thread.join()
    said = dict.fromkeys(("Participant", "Conference"), b"")
    for message in heard:
        if message["event"] == "Media":
            said[message["perspective"]] += b64decode(message["media"])
    marked = stamped(0, 3)
    agent = np.frombuffer(said["Participant"], np.uint8)
    known = np.frombuffer(mulaw(0, "agent", 3), np.uint8)
    assert np.array_equal(agent[~marked], known[~marked])
    ages = [stamps.age(said["Participant"][at : at + 160]) for at in range(0, len(agent), 160)]
    assert [age is not None for age in ages] == list(marked[::160])  # also when the frames have come round again
    assert said["Conference"] == mulaw(0, "customer", 3)


def test_refused_calls_are_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            for _ in range(2):
                connection, _address = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        result = Load(f"ws://127.0.0.1:{server.getsockname()[1]}/", 2, 0.1).run()
        thread.join()
    assert (result.refused, result.messages, result.fine) == (2, 0, False)


def test_an_address_that_is_not_a_websocket_is_refused():
    with pytest.raises(ValueError, match="not an address like"):
        Load("http://127.0.0.1/", 1, 1)


@pytest.fixture
def receiver():
    """Take one connection and answer its upgrade; the test does the rest."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = []

        def take(then):
            def work():
                connection, _ = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
                    then(connection)

            taken.append(threading.Thread(target=work))
            taken[-1].start()
            return f"ws://127.0.0.1:{server.getsockname()[1]}/"

        yield take
        for thread in taken:
            thread.join(PATIENCE)


def test_calls_that_the_receiver_ends_are_counted(receiver):
    result = Load(receiver(lambda connection: connection.recv(4096)), 1, 2.0).run()
    assert result.closed == 1
    assert not result.fine


def test_calls_without_a_closing_handshake_are_counted(receiver):
    def read_to_the_end(connection):
        while data := connection.recv(65536):
            if data.endswith(b"\x03\xe8"):
                return

    assert Load(receiver(read_to_the_end), 1, 0.2).run().unclosed == 1


def test_calls_whose_close_is_never_answered_are_counted(receiver):
    done = threading.Event()
    result = Load(receiver(lambda connection: done.wait(PATIENCE)), 1, 0.2, timeout=0.5)
    assert result.run().unclosed == 1
    done.set()


def test_sends_that_the_kernel_takes_in_part_are_counted(receiver):
    done = threading.Event()

    def stop_reading(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        done.wait(PATIENCE)

    load = Load(receiver(stop_reading), 1, 0.2, timeout=0.5)
    [call] = [load._connect(0)]
    load._shake_hands([call])
    while not call.put(bytes(65536)):
        pass
    assert call.put(b"more") == len(call.unsent) > 4
    done.set()
    call.socket.close()
