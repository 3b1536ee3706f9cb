"""Reports of clients that were turned away."""

import asyncio

from flowcore.admin import rejections
from flowcore.admin.rejections import Rejections


def test_each_reason_is_reported_at_once_and_then_with_the_number_of_clients(monkeypatch):
    monkeypatch.setattr(rejections, "INTERVAL", 0)
    monkeypatch.setattr("flowcore.engine.throttle.INTERVAL", 0)

    async def main():
        told = asyncio.Queue()
        reports = Rejections(lambda *report: told.put_nowait(report))
        for number in range(1000):
            reports.add("no_token", f"192.0.2.{number % 100}")
        reports.add("wrong_token", "192.0.2.7")
        watching = asyncio.create_task(reports.watch())
        heard = [await told.get() for _ in range(3)]
        watching.cancel()
        return heard, told.qsize()

    heard, left = asyncio.run(main())
    assert heard == [("no_token", "192.0.2.0", 1), ("wrong_token", "192.0.2.7", 1), ("no_token", "192.0.2.99", 999)]
    assert left == 0
