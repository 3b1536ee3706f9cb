"""The config of the RingCX listeners: address, transports, access rules and limits of a call."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, IPvAnyNetwork, field_validator, model_validator

from flowcore import Config, Duration, Host
from flowcore.addresses import is_loopback, normalize_network
from nodes.net.tls import TlsFiles
from nodes.ringcx.capture.capture_config import CaptureConfig
from nodes.ringcx.credentials import Secret

Transport = Literal["websocket", "grpc"]
"""How RingCX streams a call."""

Networks = tuple[Annotated[IPvAnyNetwork, AfterValidator(normalize_network)], ...]

LOAD_GENERATOR_SETTINGS = {
    "host": "127.0.0.1", "port": "0", "tls": "null", "secret_mode": "off", "networks": "[]", "accounts": "[]",
    "max_calls_per_ip": "null",
}  # fmt: skip
"""Settings with which such a listener admits a load generator on this machine."""


class ListenerConfig(Config):
    """Address, access rules and limits of the listener."""

    host: str = "127.0.0.1"
    """Address to listen at, by default for this machine only; 0.0.0.0 (or ::, with IPv6) for any needs ``tls`` or
    ``behind_proxy``."""

    port: int = Field(default=3333, ge=0, le=65535)
    """TCP port to listen on; 0 picks a free one."""

    transports: tuple[Transport, ...] = Field(default=("websocket", "grpc"), min_length=1)
    """Transports that are taken on the port: ``websocket``, ``grpc``, or both."""

    path: str | None = None
    """Path that calls over WebSocket must come to, like /ringcx/audio; any when left out."""

    bot: Literal["agent", "bot"] = "agent"
    """The track of bots over gRPC: the agent's, or ``bot`` for nodes of your own (``interleave`` and ``split`` drop
    it)."""

    tls: TlsFiles | None = None
    """Certificate and key; without them the connections are not encrypted."""

    behind_proxy: Networks = ()
    """Networks of the proxies in front of this port; only their X-Forwarded-For or Forwarded is believed."""

    secret: Secret | None = None
    """Secret of the streaming profile or the External Credentials as ``${NAME}``, 8 to 200 characters; searched for in
    the request and the messages up to Start, over gRPC in the metadata."""

    secret_mode: Literal["off", "observe", "require"] = "require"  # noqa: S105  # no password
    """Whether a call without the ``secret`` is refused; ``observe`` admits it and logs where the secret was."""

    accounts: tuple[str, ...] = ()
    """Accounts, subaccounts or RingCentral accounts, one of which a call must name; any when left out."""

    networks: Networks = ()
    """Networks that may call; any when left out."""

    origins: tuple[str, ...] = ()
    """Origins of web pages that may call, like https://example.com; RingCX sends no Origin."""

    max_calls_per_ip: int | None = Field(default=None, ge=1)
    """Calls that one address may hold at once, in all processes; RingCX calls from few addresses."""

    max_connections: int = Field(default=2000, ge=1)
    """Connections, and streams of gRPC, at once in each process; further ones are told to try again."""

    handshake: Duration = Duration("5s")
    """Time that a connection has for its handshake."""

    start: Duration = Duration("30s")
    """Time that a call has to send Start (gRPC: DialogInit)."""

    idle: Duration = Duration("1h")
    """Time without any message after which a call is ended; a call on hold may send nothing for long."""

    max_speed: float = Field(default=4, gt=0)
    """Multiple of real time that one call may send in the long run; TCP holds the rest back."""

    capture: CaptureConfig = CaptureConfig()
    """Captures: files with the messages of calls as they came, for ``flowcore replay``. None until they are asked
    for."""

    @field_validator("path")
    @classmethod
    def _is_path(cls, path: str | None) -> str | None:
        if path is not None and not re.fullmatch(r"/[!-~]*", path.replace("?", " ").replace("#", " ")):
            raise ValueError("write a path without query, like /ringcx/audio; leave it out to take calls at any path")
        return path

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if not is_loopback(self.host) and self.tls is None and not self.behind_proxy:
            raise ValueError(
                "other machines would send their calls through the network in the clear: give tls a certificate, "
                "name in behind_proxy the proxy that has one, or listen at host 127.0.0.1"
            )
        explicit = "secret_mode" in self.model_fields_set and self.secret_mode in ("observe", "require")
        if explicit and self.secret is None:
            raise ValueError(f"secret_mode {self.secret_mode} needs a secret: write  secret: ${{NAME}}")
        return self

    @property
    def secret_required(self) -> bool:
        """Whether a call must present the secret."""
        return self.secret is not None and self.secret_mode == "require"  # noqa: S105  # no password

    @property
    def guarded(self) -> bool:
        """Whether strangers are kept out; an account's id is no credential."""
        return self.secret_required or bool(self.networks)

    @property
    def exposed(self) -> bool:
        """Whether other machines reach the port."""
        return bool(self.behind_proxy) or not is_loopback(self.host)

    def warn(self, host: Host) -> None:
        """Report a port that accepts calls from any client on the internet."""
        if not self.guarded and (self.exposed or host.public):
            host.report.event("port_unprotected", advice="anyone who finds this port may call: set secret or networks")

    def address(self, scheme: str, port: int) -> str:
        """Return the port's URL, like ``wss://127.0.0.1:3333``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}{'s' if self.tls else ''}://{host}:{port}"
