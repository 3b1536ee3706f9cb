"""The event loop: uvloop's where it is installed, asyncio's elsewhere."""

import asyncio
import sys

from flowcore.engine.loop import new_loop


def test_the_loop_is_uvloops_and_asyncios_without_it(monkeypatch):
    fast = new_loop()
    fast.close()
    assert type(fast).__module__ == "uvloop"
    monkeypatch.setitem(sys.modules, "uvloop", None)
    plain = new_loop()
    plain.close()
    assert isinstance(plain, asyncio.BaseEventLoop)
