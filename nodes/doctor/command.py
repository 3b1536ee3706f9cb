"""``flowcore doctor``: receive a first live call, report on it, and record it for replay."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any

import typer
from websockets.http11 import Request

from flowcore import CannotStart, FlowcoreError
from flowcore.files import Folder
from nodes.doctor.call_recorder import CallRecorder
from nodes.doctor.probe import Probe
from nodes.doctor.redact import Redactor
from nodes.doctor.report import page, remarks
from nodes.net.certificate_dates import outdated
from nodes.net.port import Limits, Port
from nodes.net.proxy_trust import Address, Network, ProxyTrust, is_loopback
from nodes.net.rejection import PORT_ADVICE
from nodes.net.tls import Certificate
from nodes.ringcx.credentials import Credentials

LIMITS = Limits(connections=64, handshake=10.0, rate=4e6)
MAX_OTHER_REQUESTS = 20
"""Requests in the report that were no call, at most."""

POLL_INTERVAL = 0.005
"""Seconds between two polls of the sockets, which bounds the error of arrival times."""


def doctor(
    calls: Annotated[int, typer.Option(min=1, help="Report after this many calls.")] = 1,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port to listen on; 0 picks one.")] = 3333,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help='Where each call is recorded; "" for nowhere.', show_default=True),
    ] = Path("ringcx-call.jsonl"),
    cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM), for wss:// right to this port.")] = None,
    key: Annotated[Path | None, typer.Option(help="The certificate's key (PEM).")] = None,
    behind_proxy: Annotated[
        list[str] | None,
        typer.Option(metavar="NETWORK", help="Proxy that brings the calls, as 10.0.0.0/8; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Receive a first live call from RingCX, and report on it.

    Accepts every connection, and reports what RingCX's documentation leaves open: the names in the query and headers,
    the place of the secret, what sequence ids count, length and timing of messages, and which side closes. Values are
    masked, so the report can be shared. With RINGCX_SECRET in the environment the doctor searches for the secret.

    Each call is recorded, without its secret but WITH ITS AUDIO. This plays it through a graph:
    `flowcore run GRAPH` with  call: {use: ringcx_recording, with: {path: ringcx-call.jsonl}}

    RingCX needs a public wss:// address: a tunnel or proxy to this port (https://… of `ngrok http 3333`), or
    --host 0.0.0.0 with --cert and --key. `flowcore profile create` sets the address in RingCX.

    Ctrl-C ends the doctor with a report on the calls so far.

    Exit code: 0 a call came, 1 none did, 2 the command line is wrong.
    """
    proxy_trust = _proxy_trust(host, cert, key, behind_proxy or [])
    if cert is not None:
        for _, detail in outdated(cert, datetime.now(UTC)):
            _tell(f"{cert}: {detail}: RingCX will hang up")
    path = None if save is None or not save.name else save
    if path is not None:
        _check_writable(path)
    server = DoctorServer(proxy_trust, os.environ.get("RINGCX_SECRET", ""), path, _tell)
    with _listen(host, port) as listening:
        number = server.listen(listening)
        name = f"[{host}]" if ":" in host else host
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            scheme = "wss" if proxy_trust.certificate else "ws"
            _tell(f"waiting for a call at {scheme}://{name}:{number}/  (Ctrl-C to end)")
            server.serve(lambda: len(server.ended) >= calls)
        server.close()
    if as_json:
        typer.echo(json.dumps({"calls": server.facts(), "not_calls": server.other_requests}, indent=2))
    else:
        typer.echo(page(server.facts(), server.other_requests) or "no call came")
    raise typer.Exit(0 if server.ended else 1)


def _check_writable(path: Path) -> None:
    """Check now that a recording can be written: the first live call may not come again soon."""
    if path.is_dir():
        raise typer.BadParameter(f"{path} is a directory: name a file in it", param_hint="--save")
    try:
        Folder(path.parent).open()
    except CannotStart as error:
        raise typer.BadParameter(str(error), param_hint="--save") from None


class DoctorServer:
    """The port and the probes of its connections. ``secret`` may be empty; ``save`` is the recordings' path, if any."""

    def __init__(self, proxy_trust: ProxyTrust, secret: str, save: Path | None, tell: Callable[[str], None]) -> None:
        self.other_requests: list[str] = []
        """One line for each request that was no call."""
        self._credentials = Credentials(secret) if secret else None
        self._redactor = Redactor(self._credentials)
        self._save = save
        self._tell = tell
        self._probes: list[Probe] = []
        self._port = Port(
            {},
            LIMITS,
            on_error=lambda error: self._add_other_request(f"an error in flowcore: {error!r}"),
            proxy_trust=proxy_trust,
            on_rejected=self._add_rejection,
            fallback=self._make_probe,
        )

    @property
    def ended(self) -> list[Probe]:
        """The connections that have ended."""
        return [probe for probe in self._probes if probe.over]

    def listen(self, listening: socket.socket) -> int:
        """Take connections from this socket; returns its port's number."""
        return self._port.listen(listening)

    def serve(self, done: Callable[[], bool]) -> None:
        """Poll the sockets until ``done()``."""
        while not done():
            self._port.poll(time.monotonic)
            for probe in [one for one in self._probes if not one.open]:
                self._probes.remove(probe)
                self._add_other_request(probe.description)
            time.sleep(POLL_INTERVAL)

    def close(self) -> None:
        """Close the open connections; they are reported as far as they came."""
        for probe in self._probes:
            if not probe.over:
                probe.interrupt()
        self._port.close()

    def facts(self) -> list[dict[str, Any]]:
        """Return the facts about each call, in their order."""
        found = []
        for probe in self.ended:
            facts = probe.examination.facts()
            facts["recording"] = str(probe.saved) if probe.saved else None
            found.append(facts | {"remarks": remarks(facts)})
        return found

    def _make_probe(self, request: Request, client: Address) -> Probe:
        probe = Probe(
            request,
            str(client),
            now=time.monotonic,
            credentials=self._credentials,
            open_recorder=lambda: CallRecorder(self._save, self._redactor) if self._save else None,
            tell=self._tell,
        )
        self._probes.append(probe)
        return probe

    def _add_rejection(self, reason: str, client: Address, detail: str = "", /) -> None:
        if reason != "no_upgrade":  # the probe of the request describes that
            self._add_other_request(f"{reason} from {client}: {detail or PORT_ADVICE[reason]}")

    def _add_other_request(self, what: str) -> None:
        self._tell(f"not a call: {what}")
        self.other_requests = [*self.other_requests, what][-MAX_OTHER_REQUESTS:]


def _proxy_trust(host: str, cert: Path | None, key: Path | None, proxies: list[str]) -> ProxyTrust:
    if (cert is None) != (key is None):
        raise typer.BadParameter("give both, or neither", param_hint="--cert, --key")
    networks: list[Network] = []
    for proxy in proxies:
        try:
            networks.append(ip_network(proxy))
        except ValueError:
            raise typer.BadParameter(f"{proxy} is no network: write 10.0.0.0/8", param_hint="--behind-proxy") from None
    if cert is None and not networks and not is_loopback(host):
        raise typer.BadParameter(
            f"calls to {host} would cross the network in the clear: give --cert and --key, or --behind-proxy, "
            "or listen at 127.0.0.1 behind a tunnel",
            param_hint="--host",
        )
    return ProxyTrust(Certificate(cert, key) if cert and key else None, networks)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        dual_stack = host == "::" and socket.has_dualstack_ipv6()
        listening = socket.create_server((host, port), family=family, dualstack_ipv6=dual_stack)
    except socket.gaierror as error:
        raise FlowcoreError(f"cannot listen at {host}: {error.strerror}; give an address of this machine") from None
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise FlowcoreError(f"cannot listen at {host}:{port}: {why}; give another with --port") from None
    listening.setblocking(False)
    return listening


def _tell(text: str) -> None:
    typer.echo(text, err=True)
