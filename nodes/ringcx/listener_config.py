"""What all listeners for calls from the network are asked: where to listen, who may call, what a call may take."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, IPvAnyNetwork, model_validator

from flowcore import Config, Duration, Host
from nodes.net.proxy_trust import is_loopback, normalize_network
from nodes.net.tls import TlsFiles
from nodes.ringcx.access_policy import Rules, SecretMode
from nodes.ringcx.credentials import Secret

Networks = tuple[Annotated[IPvAnyNetwork, AfterValidator(normalize_network)], ...]

LOAD_GENERATOR_SETTINGS = {
    "host": "127.0.0.1",
    "port": "0",
    "tls": "null",
    "secret_mode": "off",
    "networks": "[]",
    "accounts": "[]",
    "max_calls_per_ip": "null",
}
"""Settings with which such a listener admits a load generator on this machine."""


class ListenerConfig(Config):
    """The config that such listeners share, so that a graph can change its transport by one word."""

    host: str = "127.0.0.1"
    """Address to listen at: by default for this machine only; 0.0.0.0 for any needs ``tls`` or ``behind_proxy``."""

    port: int = Field(default=3333, ge=0, le=65535)
    """TCP port to listen on; 0 picks one that is free."""

    tls: TlsFiles | None = None
    """Certificate and key; without them the port speaks in the clear."""

    behind_proxy: Networks = ()
    """Networks of the proxies before this port: their X-Forwarded-For or Forwarded is believed, nobody else's."""

    secret: Secret | None = None
    """The streaming profile's or the External Credentials' as ``${NAME}``, 8 to 200 characters: looked for in all that
    is said up to Start, over gRPC in the metadata."""

    secret_mode: SecretMode = "require"  # noqa: S105  # no password
    """Whether a call without the ``secret`` is refused; ``observe`` lets it in and logs where the secret was."""

    accounts: tuple[str, ...] = ()
    """Accounts, subaccounts or RingCentral accounts of which a call must name one; any when left out."""

    networks: Networks = ()
    """Networks that may call; any when left out."""

    origins: tuple[str, ...] = ()
    """Web pages that may call, like https://example.com: RingCX is none and sends no Origin."""

    max_calls_per_ip: int | None = Field(default=None, ge=1)
    """Calls that one address may hold at once, in all processes; RingCX calls from few addresses."""

    max_connections: int = Field(default=2000, ge=1)
    """Connections (gRPC: streams) at once in each process; more are told to try again."""

    handshake: Duration = Duration("5s")
    """Time that a connection has for its handshake."""

    start: Duration = Duration("30s")
    """Time that a call has to say Start (gRPC: DialogInit)."""

    idle: Duration = Duration("1h")
    """Time without any message after which a call is given up; a call on hold may send nothing for long."""

    max_speed: float = Field(default=4, gt=0)
    """How much faster than real time one call may send, in the long run; TCP holds the rest back."""

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if not is_loopback(self.host) and self.tls is None and not self.behind_proxy:
            raise ValueError(
                "other machines would send their calls through the network in the clear: give tls a certificate, "
                "name in behind_proxy the proxy that has one, or listen at host 127.0.0.1"
            )
        asked = "secret_mode" in self.model_fields_set and self.secret_mode in ("observe", "require")
        if asked and self.secret is None:
            raise ValueError(f"secret_mode {self.secret_mode} needs a secret: write  secret: ${{NAME}}")
        return self

    def rules(self) -> Rules:
        """What the doorman asks of a call."""
        return Rules(
            self.secret.get_secret_value() if self.secret else "",
            self.secret_mode,
            self.networks,
            {origin.lower().rstrip("/") for origin in self.origins},
            set(self.accounts),
            self.max_calls_per_ip,
        )

    @property
    def exposed(self) -> bool:
        """Whether others than this machine's users reach the port."""
        return bool(self.behind_proxy) or not is_loopback(self.host)

    def warn(self, host: Host) -> None:
        """Tell when whoever finds the port may call."""
        if not self.rules().guarded and (self.exposed or host.public):
            host.report.event("open_to_all", advice="whoever finds this port may call: set secret or networks")

    def address(self, scheme: str, port: int) -> str:
        """What the port is called by, like ``wss://127.0.0.1:3333``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}{'s' if self.tls else ''}://{host}:{port}"
