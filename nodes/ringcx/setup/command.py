"""``flowcore setup``: show what to enter in RingCX for a graph, and check its public address."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from flowcore import Extra, Sink
from flowcore.errors import UsageError
from flowcore.graph import Plan, compile_graph, load_graph
from nodes.net.site import Site
from nodes.ringcx.listener_config import ListenerConfig, Transport
from nodes.ringcx.rest.address import BadAddress
from nodes.ringcx.setup.calls import check_grpc, check_page, check_websocket
from nodes.ringcx.setup.check import Check, Failed
from nodes.ringcx.setup.instructions import Receiver
from nodes.ringcx.setup.network import check_certificate, check_http2, check_name, trust


def setup(
    graph: Annotated[Path, typer.Argument(metavar="GRAPH", help="The graph file.")],
    host: Annotated[str, typer.Option(metavar="HOST[:PORT]", help="The public address; the default port is 443.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NODE.KEY=VALUE", help="Set a value of the graph; repeatable.")
    ] = None,
    transport: Annotated[
        Transport | None, typer.Option(help="The account's transport.", show_default="all that the graph takes")
    ] = None,
    check: Annotated[bool, typer.Option(help="Check the address.")] = True,
    ca: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A private authority (PEM) to trust, for a trial without RingCX."),
    ] = None,
) -> None:
    """Show what to enter in RingCX, and check the public address.

    The graph says which transports it takes, whether it has a secret, and which pages it serves. No secret is shown.

    Checks, one after the other: that the name has public addresses, that the port is open, the certificate's chain,
    name and dates, a call that ends at once, through all proxies in front, and the pages. Run the graph (or `flowcore
    doctor`, which serves no page) meanwhile. A check from the machine that has the address does not see its firewall.

    Exit code: 0 all is well, 1 a check failed, 2 the graph or the command line is wrong.
    """
    plan = compile_graph(load_graph(graph, settings or []))
    receiver, secret = _receiver(plan, host, transport)
    try:
        trust(ca)
    except (OSError, ssl.SSLError) as error:
        text = f"{ca} is no certificate in PEM format ({error.strerror})"
        raise typer.BadParameter(text, param_hint="--ca") from None
    try:
        problems = list(receiver.problems())
    except BadAddress as error:
        raise typer.BadParameter(str(error), param_hint="--host") from None
    for line in receiver.instructions():
        typer.echo(line)
    if not check:
        return
    if "grpc" in receiver.transports:
        Extra("grpc", "grpc").check("the check of gRPC")
    typer.echo("Checks")
    failed = False
    for found in _checks(receiver, secret, ca, problems):
        failed = failed or found.outcome == "failed"
        typer.echo(f"{found.outcome:<9}{found.what:<13}{found.text}")
    raise typer.Exit(1 if failed else 0)


def _receiver(plan: Plan, address: str, transport: Transport | None) -> tuple[Receiver, str]:
    """Return the receiver of a graph, and its secret. Raises `UsageError` and `typer.BadParameter`."""
    listener = plan.listener
    config = listener.config
    if not isinstance(config, ListenerConfig):
        raise UsageError(f"{listener.name} ({listener.cls.name}) receives no calls of RingCX: use ringcx")
    if transport and transport not in config.transports:
        raise UsageError(f"{listener.name} does not take {transport}: add it to transports")
    name, colon, port = address.partition(":")
    if colon and not (port.isascii() and port.isdecimal() and 1 <= int(port) <= 65535):
        raise typer.BadParameter(f"{address} is no address: write HOST or HOST:PORT", param_hint="--host")
    secret = config.secret.get_secret_value() if config.secret else ""
    pages: dict[str, str] = {}
    for node in plan.nodes.values():
        resource = node.cls.make_resource(node.config) if issubclass(node.cls, Sink) else None
        if isinstance(resource, Site):
            pages |= resource.links()
    place = f"{listener.name}.secret" if secret else ""
    transports = (transport,) if transport else config.transports
    return Receiver(transports, name, int(port or 443), place, pages), secret


def _checks(receiver: Receiver, secret: str, ca: Path | None, problems: Sequence[str]) -> Iterator[Check]:
    """Run the checks in their order; after one that failed, the later ones could not succeed."""
    for problem in problems:
        yield Check("warning" if ca else "failed", "address", problem)
    host, port = receiver.host, receiver.port
    steps = [
        ("DNS, port", check_name(host, port, private=ca is not None)),
        ("certificate", check_certificate(host, port, ca)),
    ]
    if "websocket" in receiver.transports:
        steps.append(("WebSocket", check_websocket(host, port, ca, secret)))
    if "grpc" in receiver.transports:
        steps += [("HTTP/2", check_http2(host, port, ca)), ("gRPC", check_grpc(host, port, ca, secret))]
    paths = {path.partition("?")[0] for path in receiver.pages.values()}
    steps += [("page", check_page(host, port, ca, path)) for path in sorted(paths)]
    for what, step in steps:
        try:
            yield from step
        except Failed as error:
            yield Check("failed", what, str(error))
            return
