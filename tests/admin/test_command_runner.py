"""Commands are carried out once each, few at a time, and reported."""

import asyncio
import threading

import pytest

from flowcore.admin import command_runner
from flowcore.admin.access import Client
from flowcore.admin.command_runner import Busy, CommandRunner
from flowcore.admin.problems import ApiError
from flowcore.control.errors import NoAnswer, NoSuchCall, NoSuchParty, SeveralCalls
from flowcore.errors import UsageError

ADMIN = Client("admin", "192.0.2.1")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(command_runner, "PACE", 0.0)


@pytest.fixture
def reported():
    return []


@pytest.fixture
def runner(tmp_path, reported):
    made = CommandRunner(tmp_path / "hub", reported.append)
    yield made
    made.close()


def test_the_same_command_is_carried_out_each_time(runner, reported):
    done = []

    async def main():
        return [await runner.run(ADMIN, "pause", lambda path: done.append(path) or {"flow": "f"}) for _ in range(5)]

    assert asyncio.run(main()) == [{"flow": "f"}] * 5
    assert len(done) == len(reported) == 5


def test_the_report_names_who_did_what_and_neither_the_clients_name_for_the_call_nor_an_unknown_party(runner, reported):
    def refuse(path):
        raise NoSuchParty("the call has no party '4155550100'")

    async def main():
        answer = {"flow": "f", "changed": True}
        await runner.run(ADMIN, "mute", lambda path: answer, "+14155550100", "customer")
        with pytest.raises(ApiError):
            await runner.run(ADMIN, "mute", refuse, "+14155550100", "4155550100")

    asyncio.run(main())
    who = {"token": "admin", "address": "192.0.2.1"}
    assert reported == [
        {"operation": "mute", "status": 200, "flow": "f", "party": "customer", "changed": True, **who},
        {"operation": "mute", "status": 404, "flow": "", "party": "", "changed": False, **who},
    ]


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (NoSuchCall("gone"), 404, "there is no live call 'one': GET /v1/calls lists them"),
        (NoSuchCall("gone", [2]), 503, "no answer from worker 2: ask again"),
        (
            SeveralCalls("one", [("f1", "a"), ("f2", "b")]),
            409,
            "2 live calls match 'one': give the flow of one: f1, f2",
        ),
        (NoAnswer("no answer at hub: it hung up"), 503, "it hung up"),
        (NoSuchParty("the call has no party 'bot'"), 404, "the call has no party 'bot'"),
        (UsageError("it cannot be"), 422, "it cannot be"),
    ],
)
def test_each_error_has_its_status_and_one_line(runner, reported, error, status, text):
    def fail(path):
        raise error

    with pytest.raises(ApiError) as caught:
        asyncio.run(runner.run(ADMIN, "end", fail, "one"))
    assert caught.value.status_code == status
    assert text in caught.value.detail
    assert "\n" not in caught.value.detail
    assert (caught.value.headers or {}).get("Retry-After") == ("1" if status == 503 else None)
    assert [one["status"] for one in reported] == [status]


@pytest.mark.fault(89)
def test_a_storm_is_carried_out_at_a_pace_and_the_rest_is_told_to_try_again(runner, reported, monkeypatch):
    monkeypatch.setattr(command_runner, "PACE", 0.01)
    done = []

    async def main():
        loop = asyncio.get_running_loop()
        began = loop.time()
        commands = (runner.run(ADMIN, "pause", lambda path: done.append(1) or {}) for _ in range(500))
        answers = await asyncio.gather(*commands, return_exceptions=True)
        return answers, loop.time() - began

    answers, seconds = asyncio.run(main())
    assert len(done) == len(reported) == command_runner.MAX_COMMANDS
    assert [type(one) for one in answers].count(Busy) == 500 - command_runner.MAX_COMMANDS
    assert seconds >= command_runner.MAX_COMMANDS * 0.01


def test_one_reload_at_a_time_and_calls_are_controlled_meanwhile(runner):
    go_on = threading.Event()

    async def main():
        reload = asyncio.create_task(runner.run(ADMIN, "reload", lambda path: go_on.wait(60) and {"version": "2-x"}))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await runner.run(ADMIN, "reload", lambda path: {})
        ended = await runner.run(ADMIN, "end", lambda path: {"flow": "f"})
        go_on.set()
        return ended, await reload, await runner.run(ADMIN, "reload", lambda path: {"version": "3-x"})

    assert asyncio.run(main()) == ({"flow": "f"}, {"version": "2-x"}, {"version": "3-x"})
