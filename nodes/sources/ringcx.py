"""Receive calls that RingCX streams over WebSocket or gRPC, each as a flow of packets of two parties."""

from __future__ import annotations

from flowcore import ListenerTools, node
from nodes.ringcx.call_attributes import ATTRIBUTES
from nodes.ringcx.events import GRPC_EVENTS, GRPC_REASONS, PORT_EVENTS, WEBSOCKET_EVENTS, WEBSOCKET_REASONS
from nodes.ringcx.listener import TUNNEL_SETTINGS, RingCXListener
from nodes.ringcx.listener_config import LOAD_GENERATOR_SETTINGS, ListenerConfig


@node("ringcx")
class RingCX(RingCXListener[ListenerConfig]):
    """Listen for RingCX, or for ``flowcore simulate``; every call becomes a flow.

    One port takes both transports, and the pages of other nodes too: a client that begins with HTTP/2 speaks gRPC.

    Out: ``Packet``, mu-law 8 kHz, tracks ``agent`` (RingCX's Participant) and ``customer`` (Conference), as they
    arrive: put ``reorder`` behind it. Over WebSocket a call ends after the Stop of both parties, 2 s without audio
    after the first one, or when the connection closes.

    Over gRPC a call ends with its stream. Contacts speak on the track ``customer``, agents and bots on ``agent``; those
    of one side who speak at once are mixed. PCMA and L16 at 8 kHz are taken too.

    Example::

        call: {use: ringcx, with: {port: 3333}}
    """

    attributes = ATTRIBUTES
    events = tuple(dict.fromkeys((*PORT_EVENTS, *WEBSOCKET_EVENTS, *GRPC_EVENTS)))
    reasons = tuple(dict.fromkeys((*WEBSOCKET_REASONS, *GRPC_REASONS)))
    tools = ListenerTools(
        load_generator="nodes.simulators.ringcx",
        load_generator_settings=LOAD_GENERATOR_SETTINGS | {"path": "null"},
        tunnel_settings=TUNNEL_SETTINGS,
        stand_in="nodes.ringcx.standin",
        player="nodes.sources.ringcx_recording",
    )
