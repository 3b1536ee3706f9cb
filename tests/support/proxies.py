"""Real proxies with the configurations of docs/ringcx-setup.md."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.support.live import ROOT, until
from tests.support.ports import free_port

PROXIES = ("nginx", "haproxy", "caddy")
CERTBOT = "/etc/letsencrypt/live/calls.example.com"
NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {server}
}}
"""
CADDY = """
{{
    admin off
    auto_https disable_redirects
}}
https://localhost:{port} {{
    bind 127.0.0.1
    tls {folder}/fullchain.pem {folder}/privkey.pem
"""


def documented(kind: str) -> str:
    """The page's configuration for a proxy."""
    page = (ROOT / "docs" / "ringcx-setup.md").read_text()
    (block,) = re.findall(rf"^```{kind}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return str(block)


def program(kind: str) -> str:
    """The path of a proxy's program."""
    path = shutil.which(kind, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert path, "run  make debs"
    return path


@dataclass
class Proxy:
    """A proxy at ``localhost:port``, whose certificate ``authority`` (PEM) has signed."""

    port: int
    authority: bytes


@contextmanager
def running(
    kind: str, folder: Path, *, upstream: str, change: Callable[[str], str] = lambda text: text
) -> Iterator[Proxy]:
    """Run a proxy in front of ``upstream`` (HOST:PORT), with only addresses and paths of files changed.

    ``change`` makes another configuration of it.
    """
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    chain, key = issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes()
    for name, data in (("fullchain", chain), ("privkey", key), ("joined", chain + key)):
        (folder / f"{name}.pem").write_bytes(data)
    port = free_port()
    file = folder / f"{kind}.conf"
    file.write_text(change(configuration(kind, folder, port, upstream)))
    command = {
        "nginx": ["-e", "stderr", "-p", str(folder), "-c", str(file)],
        "haproxy": ["-db", "-f", str(file)],
        "caddy": ["run", "--adapter", "caddyfile", "--config", str(file)],
    }[kind]
    environ = {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen([program(kind), *command], stdout=output, stderr=subprocess.STDOUT, env=environ)
    try:
        until(lambda: process.poll() is not None or listens(port))
        assert process.poll() is None, (folder / "output").read_text()
        yield Proxy(port, authority.cert_pem.bytes())
    finally:
        process.terminate()
        process.wait(30)


def configuration(kind: str, folder: Path, port: int, upstream: str) -> str:
    """The configuration of the page, with these addresses and files."""
    text = documented(kind)
    changes = {
        "127.0.0.1:3333": upstream,
        "listen 443": f"listen 127.0.0.1:{port}",
        "bind :443": f"bind 127.0.0.1:{port}",
        CERTBOT: str(folder),
        "/etc/haproxy/calls.example.com.pem": f"{folder}/joined.pem",
        "calls.example.com {": CADDY.format(port=port, folder=folder),
    }
    for old, new in changes.items():
        text = text.replace(old, new)
    return NGINX.format(folder=folder, server=text) if kind == "nginx" else text


def listens(port: int) -> bool:
    """Whether a program listens at this port of 127.0.0.1: the kernel's own list, so that no connection is made."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(fields[1] == f"0100007F:{port:04X}" and fields[3] == "0A" for fields in map(str.split, lines))
