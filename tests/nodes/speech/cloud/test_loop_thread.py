"""The thread that drives streams: it ends with its tasks, and takes no work after that."""

import asyncio
import threading

from nodes.speech.cloud.loop_thread import LoopThread
from tests.support.live import PATIENCE


def test_close_cancels_the_tasks_and_ends_the_thread():
    loop, began, ended = LoopThread("loop-of-a-test"), threading.Event(), threading.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    loop.post(lambda: loop.start(work()))
    assert began.wait(PATIENCE)
    loop.close()
    assert ended.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name == "loop-of-a-test"]
    loop.post(began.clear)
    assert began.is_set()
