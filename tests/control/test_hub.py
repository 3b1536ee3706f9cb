"""The hub: every handler answers, broken clients disturb only themselves, and no other user can connect."""

import asyncio
import socket
import stat
from contextlib import asynccontextmanager

import pytest

from flowcore import CannotStart
from flowcore.control.client import ask
from flowcore.control.hub import Hub
from flowcore.errors import UsageError
from tests.support.live import PATIENCE


async def echo(request):
    return request["ask"]


async def deaf(request):
    await asyncio.Event().wait()


async def ignorant(request):
    raise LookupError(request["ask"])


@asynccontextmanager
async def hub(path, **handlers):
    opened = Hub(path)
    opened.handlers = {int(name[1:]): one for name, one in handlers.items()}
    await opened.open()
    try:
        yield
    finally:
        await opened.close()


def asked(path, request, **handlers):
    """Return the answer of a hub with those handlers."""

    async def main():
        async with hub(path, **handlers):
            return await asyncio.to_thread(ask, path, request)

    return asyncio.run(main())


def test_every_handler_answers(tmp_path):
    assert asked(tmp_path / "hub", {"ask": "who"}, _1=echo, _2=echo) == ({1: "who", 2: "who"}, [])


def test_a_handler_that_does_not_answer_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("flowcore.control.handler.ANSWER_TIMEOUT", 0.01)
    assert asked(tmp_path / "hub", {"ask": "who"}, _1=deaf, _2=echo) == ({2: "who"}, [1])


def test_a_request_that_no_handler_knows_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="nothing is known of 'who'"):
        asked(tmp_path / "hub", {"ask": "who"}, _1=ignorant)


@pytest.mark.parametrize("request_", [[], {}, {"ask": 1}, "calls", None])
def test_a_wrong_request_gets_an_example_of_a_right_one(tmp_path, request_):
    with pytest.raises(UsageError, match="a request is one line of JSON"):
        asked(tmp_path / "hub", request_, _1=echo)


def test_noise_and_a_line_without_end_cost_their_own_connection_only(tmp_path):
    path = tmp_path / "hub"

    def noise():
        heard = []
        for text in (b"\xff\xfe no json\n", b"x" * 200_000):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(PATIENCE)
                client.connect(str(path))
                try:
                    client.sendall(text)
                    client.shutdown(socket.SHUT_WR)
                    heard.append(client.recv(4096))
                except (BrokenPipeError, ConnectionResetError):  # it hung up while we were still sending
                    heard.append(b"")
        return heard, ask(path, {"ask": "who"})

    async def main():
        async with hub(path, _1=echo):
            return await asyncio.to_thread(noise)

    (told, nothing), answer = asyncio.run(main())
    assert b"a request is one line" in told
    assert nothing == b""
    assert answer == ({1: "who"}, [])


def test_closing_during_a_request_prints_nothing(tmp_path):
    printed = []

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: printed.append(context))
        being_asked = asyncio.Event()

        async def busy(request):
            being_asked.set()
            await asyncio.Event().wait()

        async with hub(tmp_path / "hub", _1=busy):
            reader, writer = await asyncio.open_unix_connection(tmp_path / "hub")
            writer.write(b'{"ask": "calls"}\n')
            await being_asked.wait()
        assert await reader.read() == b""
        writer.close()

    asyncio.run(main())
    assert not printed


def test_no_other_user_may_connect_and_the_path_is_removed(tmp_path):
    path = tmp_path / "hub"

    async def main():
        async with hub(path):
            return path.stat().st_mode

    assert stat.S_IMODE(asyncio.run(main())) == 0o600
    assert not path.exists()


def test_the_socket_of_a_dead_process_is_taken_over_and_that_of_a_live_one_is_not(tmp_path):
    path = tmp_path / "hub"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
        left.listen()
        with pytest.raises(CannotStart, match=f"cannot listen at {path}: .*give --control another path"):
            Hub(path)
    assert asked(path, {"ask": "who"}, _1=echo) == ({1: "who"}, [])


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    (tmp_path / "hub").write_text("mine")
    with pytest.raises(CannotStart):
        Hub(tmp_path / "hub")
    assert (tmp_path / "hub").read_text() == "mine"
