"""A thousand open dashboards ask the engine no more often than one."""

import asyncio
import resource
import time

import pytest

from flowcore.admin.engine_client import MAX_AGE
from flowcore.control.run_live import RunLive
from tests.support.admin_api import SECRET
from tests.support.asking import call

DASHBOARDS = 1000
ROUNDS = 3
"""Questions of each dashboard, each as soon as the one before is answered: faster than a page asks."""
QUESTION = f"GET /v1/live?limit=200 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {SECRET}\r\n\r\n".encode()


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def asked(monkeypatch):
    """The questions that reached the engine."""
    found = []
    answer = RunLive.page

    def page(self, request):
        found.append(request)
        return answer(self, request)

    monkeypatch.setattr(RunLive, "page", page)
    return found


async def dashboard(port):
    """Ask, and return the statuses of the answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    statuses = []
    for _ in range(ROUNDS):
        writer.write(QUESTION)
        head = await reader.readuntil(b"\r\n\r\n")
        statuses.append(head.split()[1])
        size = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(size.split()[1]))
    writer.close()
    await writer.wait_closed()
    return statuses


@pytest.mark.fault(96)
@pytest.mark.slow
def test_a_thousand_dashboards_ask_the_engine_no_more_often_than_one(many_files, asked, live, served, record_property):
    call(live, "one")

    async def main():
        return await asyncio.gather(*(dashboard(int(served.url.rpartition(":")[2])) for _ in range(DASHBOARDS)))

    began = time.monotonic()
    statuses = asyncio.run(main())
    seconds = time.monotonic() - began
    assert {status for one in statuses for status in one} == {b"200"}
    assert len(asked) <= seconds / MAX_AGE + 1
    record_property("figure", f"{DASHBOARDS * ROUNDS} answers of /v1/live in {seconds:.1f} s, {len(asked)} questions")
