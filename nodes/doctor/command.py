"""``flowcore doctor``: receive a first live call, report on it, and record it for replay."""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

import typer

from flowcore import CannotStart, FlowcoreError
from flowcore.addresses import Network, is_loopback
from flowcore.files import Folder
from nodes.doctor.report import page
from nodes.doctor.server import DoctorServer
from nodes.net.certificate_dates import outdated
from nodes.net.proxy_trust import ProxyTrust
from nodes.net.tls import Certificate


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

    Accepts every connection, over WebSocket or gRPC, and reports what RingCX's documentation leaves open: the names in
    the query and headers (gRPC: metadata and the dialog's attributes), the place of the secret, segments and holds,
    what sequence ids count, length and timing of messages, and which side closes. Values are masked, so the report can
    be shared. With RINGCX_SECRET in the environment the doctor searches for the secret.

    Each call is recorded, without its secret but WITH ITS AUDIO. This plays it through a graph:
    `flowcore run GRAPH` with  call: {use: ringcx_recording, with: {path: ringcx-call.jsonl}}

    RingCX needs a public address: a proxy or tunnel to this port, or --host 0.0.0.0 with --cert and --key.
    `flowcore profile create` (gRPC: Workflow Studio) sets the address in RingCX.

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
            secure = "s" if proxy_trust.certificate else ""
            address = f"{name}:{number}"
            _tell(f"waiting for a call at ws{secure}://{address}/ or grpc{secure}://{address}  (Ctrl-C to end)")
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
    return ProxyTrust(Certificate(cert, key, http2=True) if cert and key else None, networks)


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
