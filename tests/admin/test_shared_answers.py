"""Answers that clients share."""

import asyncio

import pytest

from flowcore.admin.shared_answers import SharedAnswers


def made(counts, key):
    async def make():
        await asyncio.sleep(0)
        counts[key] = counts.get(key, 0) + 1
        return key, counts[key]

    return make


def test_those_who_ask_the_same_at_once_share_an_answer_and_others_do_not():
    async def main():
        answers, counts = SharedAnswers(3600.0), {}
        return await asyncio.gather(*(answers.get(key, made(counts, key)) for key in "aabab"))

    assert asyncio.run(main()) == [("a", 1), ("a", 1), ("b", 1), ("a", 1), ("b", 1)]


def test_an_old_answer_is_made_again():
    async def main():
        answers, counts = SharedAnswers(0.0), {}
        return [await answers.get("a", made(counts, "a")) for _ in range(2)]

    assert asyncio.run(main()) == [("a", 1), ("a", 2)]


def test_a_client_that_leaves_takes_no_answer_away():
    async def main():
        answers, counts = SharedAnswers(3600.0), {}
        leaving = asyncio.create_task(answers.get("a", made(counts, "a")))
        staying = asyncio.create_task(answers.get("a", made(counts, "a")))
        await asyncio.sleep(0)
        leaving.cancel()
        return await staying

    assert asyncio.run(main()) == ("a", 1)


def test_an_error_is_shared_too():
    async def fail():
        raise OSError("away")

    async def main():
        answers = SharedAnswers(3600.0)
        for _ in range(2):
            with pytest.raises(OSError, match="away"):
                await answers.get("a", fail)

    asyncio.run(main())
