"""The client of a tap: it takes messages as the socket gives them, and knows how the call ended."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowcore.control import TapConnection, tap_connection
from flowcore.errors import UsageError

HELLO = b'{"flow": "f1", "node": "voices"}\n'
CHUNK = b'{"chunk": {"track": "agent"}, "lost": 2, "bytes": 4}\nabcd'
TEXT = b'{"chunk": {"track": "agent", "end": 1.5, "text": "hello"}, "lost": 0, "bytes": 0}\n'


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A listening socket, to which every tap is told to connect."""
    monkeypatch.setattr(tap_connection, "find_call", lambda path, call: {"flow": "f1"})
    monkeypatch.setattr(
        tap_connection, "ask", lambda path, request: ({1: None, 2: {"path": str(tmp_path / "tap")}}, [])
    )
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "tap"))
        listening.listen()
        yield listening


def connect(
    served: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[TapConnection, socket.socket]:
    """A connection that has got its hello, and the other side."""
    accepted: list[socket.socket] = []
    plain = tap_connection.select.select

    def select(*arguments: object) -> object:
        if not accepted:
            accepted.append(served.accept()[0])
            accepted[0].sendall(HELLO)
        return plain(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(tap_connection.select, "select", select)
    return TapConnection(tmp_path / "hub", "one", "voices"), accepted[0]


def test_a_message_is_given_once_it_is_complete(served, tmp_path, monkeypatch):
    connection, other = connect(served, tmp_path, monkeypatch)
    with connection, other:
        assert connection.hello == json.loads(HELLO)
        for part in (CHUNK[:10], CHUNK[10:-2]):
            other.sendall(part)
            assert list(connection.messages(1.0)) == []
        other.sendall(CHUNK[-2:] + CHUNK)
        assert [data for _, data in connection.messages(1.0)] == [b"abcd", b"abcd"]
        assert (connection.lost, connection.end) == (4, None)
        assert list(connection.messages(0.0)) == []


def test_the_end_tells_why_the_call_ended(served, tmp_path, monkeypatch):
    connection, other = connect(served, tmp_path, monkeypatch)
    with connection, other:
        other.sendall(CHUNK + b'{"end": "hang up"}\n')
        assert len(list(connection.messages(1.0))) == 1
        assert connection.end == "hang up"


def test_the_end_of_a_text_is_not_the_end_of_the_call(served, tmp_path, monkeypatch):
    connection, other = connect(served, tmp_path, monkeypatch)
    with connection, other:
        other.sendall(TEXT + TEXT)
        assert [head["end"] for head, _ in connection.messages(1.0)] == [1.5, 1.5]
        assert connection.end is None


def test_the_end_is_empty_when_the_process_is_gone(served, tmp_path, monkeypatch):
    connection, other = connect(served, tmp_path, monkeypatch)
    with connection:
        other.sendall(CHUNK[:10])
        other.close()
        assert list(connection.messages(1.0)) + list(connection.messages(1.0)) == []
        assert connection.end == ""
        assert list(connection.messages(1.0)) == []


def test_a_tap_without_a_hello_is_given_up(served, tmp_path, monkeypatch):
    monkeypatch.setattr(tap_connection, "HELLO_TIMEOUT", 0.01)
    with pytest.raises(UsageError, match=r"no answer from f1 within 0\.01 s"):
        TapConnection(tmp_path / "hub", "one")


@pytest.mark.parametrize(
    ("answers", "missing", "says"),
    [
        ({1: None}, [], "call f1 has just ended$"),
        ({1: None}, [2], "call f1 has just ended; no answer from worker 2: ask again"),
        ({1: {"error": "there is no node 'x'"}}, [], "there is no node 'x'"),
    ],
)
def test_a_tap_that_no_worker_opens_says_why(served, tmp_path, monkeypatch, answers, missing, says):
    monkeypatch.setattr(tap_connection, "ask", lambda path, request: (answers, missing))
    with pytest.raises(UsageError, match=says):
        TapConnection(tmp_path / "hub", "one", "x")
