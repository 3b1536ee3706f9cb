"""The options of ``flowcore run`` for the admin API."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from flowcore.admin.description import describe
from flowcore.admin.process import AdminProcess
from flowcore.admin.settings import AdminSettings
from flowcore.cli.call_log import CallLog
from flowcore.engine.bus import Bus
from flowcore.graph.plan import Plan
from flowcore.node import Extra

Address = Annotated[
    str,
    typer.Option(
        "--admin",
        metavar="[HOST:]PORT",
        help="Serve the admin API, on 127.0.0.1 unless a HOST is given; its token is FLOWCORE_ADMIN_TOKEN.",
    ),
]
Cert = Annotated[Path | None, typer.Option("--admin-cert", metavar="FILE", help="Certificate chain of that port, PEM.")]
Key = Annotated[Path | None, typer.Option("--admin-key", metavar="FILE", help="Its private key, PEM.")]
Proxies = Annotated[
    list[str] | None,
    typer.Option("--admin-behind-proxy", metavar="NETWORK", help="Network of a proxy with TLS in front; repeatable."),
]


def admin_settings(
    address: str, cert: Path | None, key: Path | None, proxies: Sequence[str] | None
) -> AdminSettings | None:
    """Check the options; None without an address.

    Raises `UsageError`, `CannotStart` for a certificate that cannot be used, and `MissingExtra`.
    """
    if not address:
        if cert or key or proxies:
            raise typer.BadParameter("this is for the admin API: give --admin too", param_hint="--admin-…")
        return None
    for module in ("fastapi", "uvicorn"):
        Extra(module, "admin").check("--admin")
    return AdminSettings.parse(address, cert, key, proxies or ())


def admin_process(settings: AdminSettings | None, plan: Plan, ended: CallLog | None, bus: Bus) -> AdminProcess | None:
    """Return the admin API of a run with the call log ``ended``; None without settings."""
    place = ended.database.place if ended is not None else ""
    return None if settings is None else AdminProcess(settings, describe(plan), place, bus)


def show_graph(api: AdminProcess | None, plan: Plan) -> None:
    """Let the admin API, if there is one, show the graph of a new plan."""
    if api is not None:
        api.show_graph(describe(plan))
