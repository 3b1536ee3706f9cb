"""Clients of the admin API that hang, do not read, or ask and command all the time cost no call anything."""

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
STORM = 20
"""Clients that command all the time."""
ANSWERS = {200, 404, 503}
"""Carried out, no such call, and too many commands."""


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


@pytest.mark.fault(88, 89)
@pytest.mark.parametrize("workers", [1, 2])
def test_hung_clients_in_a_command_and_a_storm_of_commands_cost_no_other_call_a_sample(tmp_path, monkeypatch, workers):
    monkeypatch.setenv(TOKEN, SECRET)
    answers, stop = [], threading.Event()

    def command(url, names):
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {SECRET}"}, timeout=PATIENCE) as client:
            while not stop.is_set():
                answers.extend(client.post(f"/v1/calls/{name}").status_code for name in names)

    with Service(tmp_path, "--admin", "0", workers=workers) as service, ExitStack() as stack:
        url = service.heard("admin_opened")[0]["address"]
        address = urlsplit(url)
        victim = Phone(service.url, "victim")
        victim.start()
        service.until(lambda calls: len(calls) == 1)
        head = f"POST /v1/calls/victim/resume HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\n".encode()
        for number in range(HUNG):  # in the head, in the body, and without reading the answer
            rest = (b"", b"Content-Length: 100\r\n\r\n{", b"\r\n")[number % 3]
            stack.enter_context(connect(address, head + rest))
        storm = [
            threading.Thread(target=command, args=(url, ["victim/pause", "victim/resume", "nobody/end"]))
            for _ in range(STORM)
        ]
        for thread in storm:
            thread.start()
        try:
            phones = [Phone(service.url, f"call{number}") for number in range(CALLS)]
            for phone in phones:
                phone.start()
            rounds = 0
            while rounds < ROUNDS or (len({*answers}) < len(ANSWERS) and any(thread.is_alive() for thread in storm)):
                rounds += 1
                for number, phone in enumerate(phones):
                    phone.talk(number, 1.0)
            for phone in phones:
                phone.stop()
                phone.hang_up()
            service.heard("flow_closed", CALLS)
        finally:
            stop.set()
            for thread in storm:
                thread.join()
        assert {*answers} == ANSWERS
        victim.hang_up()
        assert service.stop() == 0
    closed = [one for one in service.named("flow_closed") if one["call_id"] != "victim"]
    assert [(one["reason"], one["lost_ms"]) for one in closed] == [("stop", 0)] * CALLS
    assert not [one for one in service.events if one["event"] in ("loop_blocked", "admin_died")]
    assert {one["reason"] for one in service.named("admin_rejected")} == {"too_many_commands"}
    for number in range(CALLS):
        assert np.array_equal(stereo(tmp_path / f"call{number}.wav"), np.concatenate([said(number, 1.0)] * rounds))
