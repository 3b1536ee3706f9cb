"""Many who ask at once, or soon after each other, cause one answer."""

import asyncio

import pytest

from flowcore.control.shared_answer import SharedAnswer


class Source:
    """Counts how often it is asked; answers once the test says so."""

    def __init__(self):
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.fails = False

    async def __call__(self):
        self.asked += 1
        await self.may_answer.wait()
        if self.fails:
            raise LookupError("gone")
        return self.asked


async def waiting(shared, count):
    clients = [asyncio.create_task(shared.get()) for _ in range(count)]
    await asyncio.sleep(0)
    return clients


def test_all_who_ask_meanwhile_get_the_same_answer():
    async def main():
        source = Source()
        clients = await waiting(SharedAnswer(source, 1.0), 5)
        source.may_answer.set()
        assert await asyncio.gather(*clients) == [1] * 5

    asyncio.run(main())


def test_an_answer_is_made_again_when_it_is_old():
    async def main():
        source, now = Source(), 0.0
        source.may_answer.set()
        shared = SharedAnswer(source, 1.0, lambda: now)
        assert await shared.get() == 1
        now = 0.99
        assert await shared.get() == 1
        now = 1.0
        assert await shared.get() == 2

    asyncio.run(main())


def test_a_client_that_leaves_takes_the_answer_from_no_other():
    async def main():
        source = Source()
        leaving, staying = await waiting(SharedAnswer(source, 1.0), 2)
        leaving.cancel()
        source.may_answer.set()
        assert await staying == 1

    asyncio.run(main())


def test_a_failure_is_not_kept():
    async def main():
        source = Source()
        source.may_answer.set()
        source.fails = True
        shared = SharedAnswer(source, 1.0, lambda: 0.0)
        with pytest.raises(LookupError):
            await shared.get()
        source.fails = False
        assert await shared.get() == 2

    asyncio.run(main())
