"""``flowcore run --tunnel``: make the listener public on a machine without a public address."""

from __future__ import annotations

import os
from typing import Any, Literal
from urllib.parse import urlsplit

import typer

from flowcore.errors import CannotStart, UsageError
from flowcore.graph.plan import Plan
from flowcore.node import Extra

Tunnel = Literal["ngrok"]
NGROK_TOKEN = "NGROK_AUTHTOKEN"  # noqa: S105  # a name, not a secret


def open_tunnel(plan: Plan, public: str) -> str:
    """Open a tunnel from ngrok to the listener's port; return its address, which is ``public`` if that is given.

    The tunnel stays open as long as the process. Raises `UsageError`, `MissingExtra` or `CannotStart`.
    """
    host, port = _inside(plan)
    Extra("ngrok", "tunnel").check("--tunnel ngrok")
    token = os.environ.get(NGROK_TOKEN)
    if not token:
        raise UsageError(
            f"--tunnel ngrok needs your token in {NGROK_TOKEN}: https://dashboard.ngrok.com/get-started/your-authtoken"
        )
    import ngrok

    options: dict[str, Any] = {"domain": urlsplit(public).hostname} if public else {}
    try:
        return str(ngrok.forward(f"{host}:{port}", authtoken=token, **options).url())
    except ValueError as error:  # the only error of ngrok; its texts hold no token
        raise CannotStart(f"no tunnel through ngrok: {': '.join(map(str, error.args))}") from None


def tunnel_settings(plan: Plan) -> list[str]:
    """Return settings with which the listener sees the addresses of callers behind the tunnel.

    Values in the graph have priority. ngrok appends the caller's address to X-Forwarded-For, so the last address is
    true whatever the caller wrote. Without these settings all callers would seem to call from 127.0.0.1, and would be
    admitted where only this machine is.
    """
    node = plan.listener
    settings = node.cls.tools.tunnel_settings.items()
    return [f"{node.name}.{field}={value}" for field, value in settings if field not in node.config.model_fields_set]


def public_url(text: str) -> str:
    """Return the address without a trailing slash. Raises `typer.BadParameter`."""
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query):
        fix = "write it like https://calls.example.com: neither a path nor a query"
        raise typer.BadParameter(f"{text} is not the address of a proxy: {fix}", param_hint="--public-url")
    return text.rstrip("/")


def _inside(plan: Plan) -> tuple[str, int]:
    listener = plan.listener
    addresses = listener.cls.listens(listener.config)
    if len(addresses) != 1:
        raise UsageError(f"{listener.name} ({listener.cls.name}) listens on no port: leave out --tunnel")
    host, port = addresses[0]
    if not port:
        raise UsageError(f"--tunnel needs a fixed port: give {listener.name} a port other than 0")
    return f"[{host}]" if ":" in host else host, port
