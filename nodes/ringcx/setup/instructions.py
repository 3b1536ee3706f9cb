"""Instructions for RingCX, for a graph and its public address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nodes.ringcx.listener_config import Transport
from nodes.ringcx.rest import address


@dataclass(frozen=True)
class Receiver:
    """A graph's receiver at its public address.

    ``secret_place`` is where the graph has its secret, such as ``call.secret``, and empty if it has none. ``pages`` are
    titles, and the paths with their queries.
    """

    transports: tuple[Transport, ...]
    host: str
    port: int
    secret_place: str
    pages: Mapping[str, str]

    @property
    def authority(self) -> str:
        """The host, with the port unless it is that of HTTPS."""
        return self.host if self.port == 443 else f"{self.host}:{self.port}"

    def url(self, transport: Transport) -> str:
        """Return the address for RingCX. Over gRPC it always names the port, as Workflow Studio wants it."""
        return f"grpc://{self.host}:{self.port}" if transport == "grpc" else f"wss://{self.authority}"

    def problems(self) -> Iterator[str]:
        """Yield why RingCX does not reach an address. Raises `BadAddress` if it would refuse one."""
        for transport in self.transports:
            url = self.url(transport)
            (address.check if transport == "websocket" else address.check_destination)(url)
            if problem := address.unreachable(url):
                yield problem

    def instructions(self) -> Iterator[str]:
        """Yield the lines of the instructions."""
        for transport in self.transports:
            yield from (_workflow if transport == "grpc" else _profile)(self, self.url(transport))
            yield ""
        if not self.secret_place:
            yield '! The graph has no secret: anyone who finds the address may call. Add  secret: "${RINGCX_SECRET}"'
            yield ""
        for title, path in self.pages.items():
            yield f"Page ({title}): in the agent script, an iFrame with this address"
            yield f"    https://{self.authority}{path}"
            if path.endswith("=…"):
                yield "    with the secret of the page in place of …  (not RingCX's)"
            yield ""


def _workflow(receiver: Receiver, url: str) -> Iterator[str]:
    yield "gRPC (newer accounts): Workflow Studio, the workflow of the queue, the campaign or the agent's manual calls:"
    yield "1. After On_Agent_Connected, a Start Stream node:"
    yield f"    URL                   {url}"
    yield "    Stream ID             flowcore"
    yield "    Segment Streaming     unchecked"
    yield "    Audio Encoding        PCMU"
    yield "    Packet Duration       100"
    if receiver.secret_place:
        yield "    External Credentials  a new API key or token (or Basic, with any user name)"
        yield f"                          whose value is that of {receiver.secret_place} in the graph"
    yield "2. To end the stream before the call ends, a Stop Stream node with the same Stream ID."
    yield "3. Save, and assign the workflow."


def _profile(receiver: Receiver, url: str) -> Iterator[str]:
    yield "WebSocket (older accounts): the streaming profile, once for each queue (campaign: --type campaign):"
    if receiver.secret_place:
        yield f"    export RINGCX_SECRET=…   # the value of {receiver.secret_place} in the graph"
    yield f"    flowcore profile create --type queue --id ID --url {url}"
    yield "Then enable Agent segment recording:"
    yield "    queue     Routing > Voice queues & skills > queue > Recording settings"
    yield "    campaign  Dialing > Campaigns > campaign > Recording settings"
