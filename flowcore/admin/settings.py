"""The address of the admin API, and the rules for one that other machines reach."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from flowcore.addresses import Network, is_loopback, normalize_network
from flowcore.errors import UsageError
from flowcore.tls import server_context

TOKEN: Final = "FLOWCORE_ADMIN_TOKEN"  # noqa: S105  # a name, no secret
"""The environment variable with the token that clients send as ``Authorization: Bearer TOKEN``."""
READ_TOKEN: Final = "FLOWCORE_ADMIN_READ_TOKEN"  # noqa: S105  # a name, no secret
"""The environment variable with the token of clients that only read."""
ADMIN: Final = "admin"
READ: Final = "read"
TOKENS: Final = {ADMIN: TOKEN, READ: READ_TOKEN}
"""The variable of each token, by the name of the token in the log."""
MIN_TOKEN_CHARS: Final = 16
"""Characters of a token at least: 16 of base64 are 96 random bits."""


@dataclass(frozen=True)
class AdminSettings:
    """Address, certificate and trusted proxies of the admin port. ``port`` 0 picks a free one."""

    host: str
    port: int
    cert: str = ""
    key: str = ""
    behind_proxy: tuple[str, ...] = ()

    @classmethod
    def parse(
        cls, address: str, cert: Path | None = None, key: Path | None = None, behind_proxy: Sequence[str] = ()
    ) -> AdminSettings:
        """Check ``[HOST:]PORT`` with the other options, and the tokens in the environment.

        Raises `UsageError`, and `CannotStart` for a certificate that cannot be used.
        """
        host, _, port = address.rpartition(":")
        host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
        if not port.isdecimal() or not 0 <= int(port) <= 65535:
            raise UsageError(f"--admin {address}: give a port, like 9090 or 127.0.0.1:9090")
        if (cert is None) != (key is None):
            raise UsageError("--admin-cert and --admin-key belong together: give both")
        settings = cls(host, int(port), str(cert or ""), str(key or ""), tuple(behind_proxy))
        settings._check()
        return settings

    def _check(self) -> None:
        given = tokens()
        for name, secret in given.items():
            if len(secret) < MIN_TOKEN_CHARS:
                raise UsageError(f"{TOKENS[name]} is too short: give it {MIN_TOKEN_CHARS} characters or more")
            if not secret.isascii() or not secret.isprintable() or " " in secret:
                raise UsageError(f"{TOKENS[name]} must be printable ASCII without spaces, as a header has it")
        if given.get(ADMIN, "") == given.get(READ):
            raise UsageError(f"{READ_TOKEN} has the token of {TOKEN}: give them different ones")
        try:
            proxies = self.proxies
        except ValueError as error:
            raise UsageError(f"--admin-behind-proxy: {error}") from None
        if self.cert:
            server_context(Path(self.cert), Path(self.key), ["http/1.1"])
        if is_loopback(self.host) and not proxies:
            return
        if not given:
            raise UsageError(f"--admin {self.host}: other machines reach it, so set {TOKEN} in the environment")
        if not self.cert and not proxies:
            raise UsageError(
                f"--admin {self.host}: the token would cross the network in the clear: give --admin-cert and "
                "--admin-key, name in --admin-behind-proxy the proxy that has a certificate, or listen at 127.0.0.1"
            )

    @property
    def proxies(self) -> list[Network]:
        """The networks of the trusted proxies. Raises `ValueError`."""
        return [normalize_network(ip_network(text)) for text in self.behind_proxy]

    @property
    def scheme(self) -> str:
        """``http``, or ``https`` with a certificate."""
        return "https" if self.cert else "http"


def tokens() -> dict[str, str]:
    """Return the tokens in the environment, by name."""
    return {name: token for name, variable in TOKENS.items() if (token := os.environ.get(variable))}
