"""Row 86: clients of the admin API that hang, do not read or ask all the time cost no call anything."""

import resource
import select
import socket
import threading
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from flowcore.admin.settings import TOKEN
from tests.support.admin_api import SECRET
from tests.support.live import PATIENCE
from tests.support.phone import Phone, said, stereo
from tests.support.service import Service

pytestmark = pytest.mark.slow

READERS = 1000
HUNG = 50
CALLS = 10
ROUNDS = 3
SCRAPE_INTERVAL = 0.010
SCRAPES = 10


def connect(address, request):
    """A connection that sends ``request``, and reads nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(PATIENCE)
    client.connect((address.hostname, address.port))
    client.sendall(request)
    return client


def answered(clients):
    """Wait until each has an answer, without reading it."""
    for client in clients:
        assert select.select([client], [], [], PATIENCE)[0]


@pytest.fixture
def _many_files():
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.fault(86)
@pytest.mark.usefixtures("_many_files")
@pytest.mark.parametrize("workers", [1, 2])
def test_hung_clients_a_thousand_readers_that_never_read_and_a_scraper_cost_no_call_a_sample(
    tmp_path, monkeypatch, workers
):
    monkeypatch.setenv(TOKEN, SECRET)
    scraped, stop = [], threading.Event()

    def scrape(url):
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {SECRET}"}, timeout=PATIENCE) as client:
            while not stop.wait(SCRAPE_INTERVAL):
                scraped.append(client.get("/readyz").status_code)
                scraped.append(client.get("/metrics").status_code)

    with Service(tmp_path, "--admin", "0", workers=workers) as service, ExitStack() as stack:
        url = service.heard("admin_opened")[0]["address"]
        address = urlsplit(url)
        head = f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\n".encode()
        readers = [stack.enter_context(connect(address, head + b"\r\n")) for _ in range(READERS)]
        for number in range(HUNG):
            stack.enter_context(connect(address, head[: number % 2 * 40]))
        answered(readers)
        scraper = threading.Thread(target=scrape, args=(url,))
        scraper.start()
        try:
            phones = [Phone(service.url, f"call{number}") for number in range(CALLS)]
            for phone in phones:
                phone.start()
            rounds = 0
            while rounds < ROUNDS or (len(scraped) < SCRAPES and scraper.is_alive()):
                rounds += 1
                for number, phone in enumerate(phones):
                    phone.talk(number, 1.0)
            for phone in phones:
                phone.stop()
                phone.hang_up()
            service.heard("flow_closed", CALLS)
        finally:
            stop.set()
            scraper.join()
        assert len(scraped) >= SCRAPES
        assert set(scraped) == {200}
        assert service.stop() == 0
    closed = service.named("flow_closed")
    assert [(one["reason"], one["lost_ms"]) for one in closed] == [("stop", 0)] * CALLS
    assert not [one for one in service.events if one["event"] in ("loop_blocked", "audio_dropped", "admin_died")]
    for number in range(CALLS):
        assert np.array_equal(stereo(tmp_path / f"call{number}.wav"), np.concatenate([said(number, 1.0)] * rounds))
