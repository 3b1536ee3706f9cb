"""``flowcore doctor``: take a first live call, say what it was like, and keep it to be played again."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any

import typer
from websockets.http11 import Request

from flowcore import CannotStart, FlowcoreError, Folder
from nodes.doctor.call_recorder import CallRecorder
from nodes.doctor.probe import Probe
from nodes.doctor.redact import Redactor
from nodes.doctor.report import page, remarks
from nodes.net.peer import Route
from nodes.net.port import Limits, Port
from nodes.net.proxy_trust import Address, Network, ProxyTrust
from nodes.net.tls import Certificate
from nodes.ringcx.credentials import Credentials

LIMITS = Limits(connections=64, handshake=10.0, rate=4e6)
STRANGERS = 20
"""Requests that were no call of which the report tells."""

LOOK = 0.005
"""Seconds between two looks at the sockets: what arrives is stamped no later than that."""


def doctor(
    calls: Annotated[int, typer.Option(min=1, help="Report after this many calls.")] = 1,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port to listen on; 0 picks one.")] = 3333,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help='Where each call is recorded; "" for nowhere.', show_default=True),
    ] = Path("ringcx-call.jsonl"),
    cert: Annotated[
        Path | None, typer.Option(help="Certificate chain (PEM), for wss:// right to this port.", show_default=False)
    ] = None,
    key: Annotated[Path | None, typer.Option(help="The certificate's key (PEM).", show_default=False)] = None,
    behind_proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NETWORK", help="Proxy that brings the calls, as 10.0.0.0/8; repeatable.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Take a first live call from RingCX, and say what it was like.

    Accepts whatever comes, and reports what RingCX's documentation leaves open: how the query and headers are named,
    where the secret was, what sequence ids count, how long messages are and how they come, who closes. Values are
    masked, so the report can be shown around. With RINGCX_SECRET in the environment the secret is looked for.

    Each call is recorded, without its secret but WITH ITS AUDIO. This plays it through a graph:
    `flowcore run GRAPH` with  call: {use: ringcx_recording, with: {path: ringcx-call.jsonl}}

    RingCX needs a public wss:// address: a tunnel or proxy to this port (https://… of `ngrok http 3333`), or
    --host 0.0.0.0 with --cert and --key. `flowcore profile create` tells it the address.

    Ctrl-C ends and reports what there is. Exit code: 0 a call came, 1 none did, 2 the command line is wrong.
    """
    proxy_trust = _proxy_trust(host, cert, key, behind_proxy or [])
    path = None if save is None or not save.name else save
    if path is not None:
        _try(path)
    clinic = DoctorServer(proxy_trust, os.environ.get("RINGCX_SECRET", ""), path, _tell)
    with _listen(host, port) as listening:
        number = clinic.listen(listening)
        name = f"[{host}]" if ":" in host else host
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            scheme = "wss" if proxy_trust.certificate else "ws"
            _tell(f"waiting for a call at {scheme}://{name}:{number}/  (Ctrl-C to end)")
            clinic.serve(lambda: len(clinic.reported) >= calls)
        clinic.close()
    if as_json:
        typer.echo(json.dumps({"calls": clinic.facts(), "not_calls": clinic.strangers}, indent=2))
    else:
        typer.echo(page(clinic.facts(), clinic.strangers) or "no call came")
    raise typer.Exit(0 if clinic.reported else 1)


def _try(path: Path) -> None:
    """Find out now whether a recording can be made there: the first live call may not come again soon."""
    if path.is_dir():
        raise typer.BadParameter(f"{path} is a directory: name a file in it", param_hint="--save")
    try:
        Folder(path.parent).open()
    except CannotStart as error:
        raise typer.BadParameter(str(error), param_hint="--save") from None


class DoctorServer:
    """The port, and all that came to it. ``secret`` may be empty; ``save`` is where recordings go, if anywhere."""

    def __init__(self, proxy_trust: ProxyTrust, secret: str, save: Path | None, tell: Callable[[str], None]) -> None:
        self.strangers: list[str] = []
        """What came and was no call, one line each."""
        self._credentials = Credentials(secret) if secret else None
        self._veil = Redactor(self._credentials)
        self._save = save
        self._tell = tell
        self._witnesses: list[Probe] = []
        self._port = Port(
            _Everywhere(self._meet),
            LIMITS,
            on_error=self._mistaken,
            proxy_trust=proxy_trust,
            on_rejected=self._turned_away,
        )

    @property
    def reported(self) -> list[Probe]:
        """The connections that have ended."""
        return [witness for witness in self._witnesses if witness.over]

    def listen(self, listening: socket.socket) -> int:
        """Take connections from this socket; returns its port's number."""
        return self._port.listen(listening)

    def serve(self, done: Callable[[], bool]) -> None:
        """Look at the sockets until ``done()``."""
        while not done():
            self._port.poll(time.monotonic)
            for witness in [one for one in self._witnesses if not one.open]:
                self._witnesses.remove(witness)
                self._stranger(witness.wanted)
            time.sleep(LOOK)

    def close(self) -> None:
        """Hang up whoever is still there: they are reported as far as they came."""
        for witness in self._witnesses:
            if not witness.over:
                witness.interrupt()
        self._port.close()

    def facts(self) -> list[dict[str, Any]]:
        """What each call was like, in their order."""
        found = []
        for witness in self.reported:
            facts = witness.examination.facts()
            facts["recording"] = str(witness.saved) if witness.saved else None
            found.append(facts | {"remarks": remarks(facts)})
        return found

    def _meet(self, request: Request, caller: Address) -> Probe:
        witness = Probe(
            request, str(caller), now=time.monotonic, credentials=self._credentials, tape=self._tape, tell=self._tell
        )
        self._witnesses.append(witness)
        return witness

    def _tape(self) -> CallRecorder | None:
        return CallRecorder(self._save, self._veil) if self._save is not None else None

    def _turned_away(self, reason: str, caller: Address) -> None:
        self._stranger(f"{reason} from {caller}")

    def _mistaken(self, error: Exception) -> None:
        self._stranger(f"a mistake in flowcore came to light: {error!r}")

    def _stranger(self, what: str) -> None:
        self._tell(f"not a call: {what}")
        self.strangers = [*self.strangers, what][-STRANGERS:]


class _Everywhere(dict[str, Route]):
    """One route for all paths."""

    def __init__(self, route: Route) -> None:
        super().__init__()
        self._route = route

    def __missing__(self, path: str) -> Route:
        return self._route


def _proxy_trust(host: str, cert: Path | None, key: Path | None, proxies: list[str]) -> ProxyTrust:
    if (cert is None) != (key is None):
        raise typer.BadParameter("give both, or neither", param_hint="--cert, --key")
    networks: list[Network] = []
    for proxy in proxies:
        try:
            networks.append(ip_network(proxy))
        except ValueError:
            raise typer.BadParameter(f"{proxy} is no network: write 10.0.0.0/8", param_hint="--behind-proxy") from None
    if cert is None and not networks and not _local(host):
        raise typer.BadParameter(
            f"calls to {host} would cross the network in the clear: give --cert and --key, or --behind-proxy, "
            "or listen at 127.0.0.1 behind a tunnel",
            param_hint="--host",
        )
    return ProxyTrust(Certificate(cert, key) if cert and key else None, networks)


def _local(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family)
    except socket.gaierror as error:
        raise FlowcoreError(f"cannot listen at {host}: {error.strerror}; give an address of this machine") from None
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise FlowcoreError(f"cannot listen at {host}:{port}: {why}; give another with --port") from None
    listening.setblocking(False)
    return listening


def _tell(text: str) -> None:
    typer.echo(text, err=True)
