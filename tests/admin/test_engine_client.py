"""Requests of many clients reach the engine at a bounded rate."""

import asyncio
import time

from flowcore.admin import engine_client
from flowcore.admin.engine_client import EngineClient
from flowcore.control.errors import NoAnswer
from flowcore.control.hub import Hub


def with_hub(path, use):
    """Run ``use(client, asked)`` beside a hub that notes what it is asked."""
    asked = []

    async def handler(request):
        asked.append(request)
        return len(asked)

    async def main():
        hub = Hub(path)
        hub.handlers = {1: handler}
        await hub.open()
        try:
            return await use(EngineClient(path), asked)
        finally:
            await hub.close()

    return asyncio.run(main())


def test_clients_that_ask_the_same_share_an_answer(tmp_path):
    async def use(client, asked):
        answers = await asyncio.gather(*(client.ask({"ask": "calls"}) for _ in range(500)))
        return answers, len(asked)

    answers, asked = with_hub(tmp_path / "hub", use)
    assert (answers, asked) == ([({1: 1}, [])] * 500, 1)


def test_an_answer_is_asked_for_again_once_it_is_old(tmp_path, monkeypatch):
    monkeypatch.setattr(engine_client, "MAX_AGE", 0.0)

    async def use(client, asked):
        return [(await client.ask({"ask": "calls"}))[0][1] for _ in range(2)]

    assert with_hub(tmp_path / "hub", use) == [1, 2]


def test_different_requests_reach_the_engine_one_after_the_other_at_a_pace(tmp_path):
    async def use(client, asked):
        began = time.monotonic()
        await asyncio.gather(*(client.ask({"ask": "calls", "name": str(number)}) for number in range(20)))
        return time.monotonic() - began, len(asked)

    seconds, asked = with_hub(tmp_path / "hub", use)
    assert asked == 20
    assert seconds >= 20 * engine_client.PACE


def test_a_client_that_leaves_takes_no_answer_away_from_others(tmp_path):
    async def use(client, asked):
        first = asyncio.create_task(client.ask({"ask": "calls"}))
        await asyncio.sleep(0)
        second = asyncio.create_task(client.ask({"ask": "calls"}))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert with_hub(tmp_path / "hub", use) == ({1: 1}, [])


def test_a_run_that_is_gone_is_an_error_for_all_that_ask(tmp_path):
    async def main():
        client = EngineClient(tmp_path / "gone")
        return await asyncio.gather(*(client.ask({"ask": "calls"}) for _ in range(3)), return_exceptions=True)

    assert [type(error) for error in asyncio.run(main())] == [NoAnswer] * 3
