import asyncio
import os
import socket
import stat
from contextlib import asynccontextmanager

import pytest

from flowcore import CannotStart
from flowcore.control.address import directory, running
from flowcore.control.client import ask, find_call
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
    """What a client hears from a hub with those handlers."""

    async def main():
        async with hub(path, **handlers):
            return await asyncio.to_thread(ask, path, request)

    return asyncio.run(main())


def test_every_holder_answers(tmp_path):
    assert asked(tmp_path / "hub", {"ask": "who"}, _1=echo, _2=echo) == ({1: "who", 2: "who"}, [])


def test_a_holder_that_does_not_answer_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("flowcore.control.hub.ANSWER_TIMEOUT", 0.01)
    assert asked(tmp_path / "hub", {"ask": "who"}, _1=deaf, _2=echo) == ({2: "who"}, [1])


def test_a_call_that_is_not_found_may_be_with_who_gave_no_answer(tmp_path, monkeypatch):
    monkeypatch.setattr("flowcore.control.hub.ANSWER_TIMEOUT", 0.01)

    async def none(request):
        return []

    async def main():
        async with hub(tmp_path / "hub", _1=deaf, _2=none):
            await asyncio.to_thread(find_call, tmp_path / "hub", "one")

    with pytest.raises(UsageError, match=r"there is no live call 'one': .*; no answer from worker 1: ask again"):
        asyncio.run(main())


def test_an_unknown_question_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="nothing is known of 'who'"):
        asked(tmp_path / "hub", {"ask": "who"}, _1=ignorant)


@pytest.mark.parametrize("request_", [[], {}, {"ask": 1}, "calls", None])
def test_a_wrong_request_is_told_what_a_right_one_is(tmp_path, request_):
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


def test_an_end_while_somebody_asks_prints_nothing(tmp_path):
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


def test_nobody_else_may_connect_and_the_path_is_given_back(tmp_path):
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


def test_no_process_no_answer(tmp_path):
    with pytest.raises(UsageError, match=r"no answer at .*: No such file"):
        ask(tmp_path / "hub", {"ask": "calls"})


def test_the_directory_is_this_users_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert directory() == tmp_path / "flowcore"
    assert stat.S_IMODE((tmp_path / "flowcore").stat().st_mode) == 0o700
    os.chmod(tmp_path / "flowcore", 0o755)
    with pytest.raises(CannotStart, match="is accessible to other users"):
        directory()


def test_a_link_to_elsewhere_is_no_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "flowcore").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CannotStart):
        directory()


def test_running_finds_the_living_and_clears_away_the_dead(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    dead, alive = directory() / "1.sock", directory() / "2.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(dead))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(alive))
        listening.listen()
        assert list(running()) == [alive]
    assert not dead.exists()


def test_newest_while_no_worker_that_answered_has_a_call_is_not_found(tmp_path, monkeypatch):
    monkeypatch.setattr("flowcore.control.hub.ANSWER_TIMEOUT", 0.01)

    async def none(request):
        return []

    async def main():
        async with hub(tmp_path / "hub", _1=deaf, _2=none):
            await asyncio.to_thread(find_call, tmp_path / "hub", "newest")

    with pytest.raises(UsageError, match=r"there is no live call 'newest': .*; no answer from worker 1: ask again"):
        asyncio.run(main())
