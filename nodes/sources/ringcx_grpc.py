"""Receive calls that RingCX streams over gRPC alone, each as a flow of packets of two parties: for newer accounts."""

from __future__ import annotations

from flowcore import ListenerTools, node
from nodes.ringcx.call_attributes import ATTRIBUTES
from nodes.ringcx.events import GRPC_EVENTS, GRPC_REASONS, PORT_EVENTS
from nodes.ringcx.listener import TUNNEL_SETTINGS, RingCXListener
from nodes.ringcx.listener_config import LOAD_GENERATOR_SETTINGS, ListenerConfig, Transport


class RingCXGrpcConfig(ListenerConfig):
    """Address, access rules and limits of the listener."""

    transports: tuple[Transport, ...] = ("grpc",)
    """Transports that are taken on the port."""


@node("ringcx_grpc")
class RingCXGrpc(RingCXListener[RingCXGrpcConfig]):
    """Listen for RingCX's gRPC streams alone, or for ``flowcore simulate --grpc``; every stream becomes a flow.

    ``ringcx`` takes both transports on its port.

    Out: ``Packet``, mu-law 8 kHz, as they arrive: put ``reorder`` behind it. Contacts speak on track ``customer``,
    agents and bots on ``agent``; those of one side who speak at once are mixed. PCMA and L16 at 8 kHz are accepted too.
    A call ends with its stream; holds are pauses in it.

    Example::

        call: {use: ringcx_grpc, with: {port: 3333}}
    """

    attributes = ATTRIBUTES
    events = (*PORT_EVENTS, *GRPC_EVENTS)
    reasons = GRPC_REASONS
    tools = ListenerTools(
        load_generator="nodes.simulators.ringcx_grpc",
        load_generator_settings=LOAD_GENERATOR_SETTINGS,
        tunnel_settings=TUNNEL_SETTINGS,
        stand_in="nodes.ringcx.grpc_standin",
        player="nodes.sources.ringcx_recording",
    )
