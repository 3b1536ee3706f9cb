"""Calls through a real nginx with the lines of docs/grpc.md and docs/security.md.

Around these lines nginx has defaults that are stricter than its own, so that a line that is missing shows in a second.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import contextmanager

import numpy as np
import pytest
import trustme

from tests.support.live import ROOT, Live, until
from tests.support.phone import Phone, said, stereo
from tests.support.phone_grpc import GrpcPhone, over_grpc
from tests.support.ports import free_port

pytestmark = pytest.mark.slow

CONFIG = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    client_max_body_size 64k;
    client_body_timeout 1s;
    grpc_read_timeout 1s;
    grpc_send_timeout 1s;
    proxy_read_timeout 1s;
    proxy_send_timeout 1s;
    {servers}
}}
"""
LIMITS = re.compile(r"^ *(?:client|grpc|proxy)_\w*(?:timeout|size) .*\n", re.MULTILINE)
"""The lines that lift nginx's limits."""


def documented(page):
    """The page's lines for nginx."""
    (block,) = re.findall(r"^```nginx\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)
    return block


@contextmanager
def nginx(folder, *servers):
    """Run nginx with these servers."""
    (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, servers="\n".join(servers)))
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    assert program, "run  make debs"
    process = subprocess.Popen([program, "-e", "stderr", "-p", str(folder), "-c", "nginx.conf"], stderr=subprocess.PIPE)
    try:
        until(lambda: (folder / "nginx.pid").exists() or process.poll() is not None)
        assert process.poll() is None, process.stderr.read().decode()
        yield
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.fault(66)
def test_a_call_of_120_s_with_a_hold_comes_through_nginx_over_grpc(tmp_path):
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "fullchain.pem")
    issued.private_key_pem.write_to_path(tmp_path / "privkey.pem")
    settings = [f"wav.path={tmp_path}/{{call_id}}.wav", "ordered.hold=collapse", "call.max_speed=1000"]
    with Live(over_grpc(tmp_path, "record"), [*settings, "call.behind_proxy=[127.0.0.1]"], calls=2) as live:
        upstream = live.url.removeprefix("grpc://")

        def server(port, text):
            text = text.replace("listen 443", f"listen 127.0.0.1:{port}").replace("127.0.0.1:3333", upstream)
            return text.replace("/etc/letsencrypt/live/calls.example.com", str(tmp_path))

        with_lines, without = free_port(), free_port()
        lines = documented("grpc.md")
        with nginx(tmp_path, server(with_lines, lines), server(without, LIMITS.sub("", lines))):
            phones = {
                name: GrpcPhone("", name, trust=authority.cert_pem.bytes(), target=f"localhost:{port}")
                for name, port in (("with", with_lines), ("without", without))
            }
            for phone in phones.values():
                phone.start()
                phone.talk(7, 1.0)
            assert phones["without"].answer() != "OK"  # a hold of a second ends it
            phones["with"].talk(7, 120.0, since=1.0)
            assert phones["with"].hang_up() == "OK"
    assert np.array_equal(stereo(tmp_path / "with.wav"), said(7, 120.0))


@pytest.mark.fault(66)
def test_a_call_with_a_hold_comes_through_nginx_over_websocket(tmp_path):
    settings = [f"wav.path={tmp_path}/{{call_id}}.wav", "call.max_speed=1000", "call.behind_proxy=[127.0.0.1]"]
    with Live("record", settings, calls=2) as live:
        upstream = live.url.removeprefix("ws://").rstrip("/")

        def server(port, text):
            return f"server {{ listen 127.0.0.1:{port}; {text.replace('127.0.0.1:3333', upstream)} }}"

        with_lines, without = free_port(), free_port()
        lines = documented("security.md")
        with nginx(tmp_path, server(with_lines, lines), server(without, LIMITS.sub("", lines))):
            phone, other = (
                Phone(f"ws://127.0.0.1:{port}/", name) for name, port in (("with", with_lines), ("without", without))
            )
            for one in (phone, other):
                one.start()
                one.talk(7, 1.0)
            while other.socket.recv(4096):  # until nginx ends its hold
                pass
            phone.talk(7, 1.0)
            phone.stop()
            phone.hang_up()
    assert len(stereo(tmp_path / "with.wav")) == 2 * 8000
    assert live.engine.totals.reasons["stop"] == 1
