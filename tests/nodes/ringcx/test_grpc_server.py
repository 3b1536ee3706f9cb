"""The gRPC server's stream coroutine, without a connection."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from nodes.ringcx.dialog_sender import DialogSender
from nodes.ringcx.grpc_peer import GrpcPeer
from nodes.ringcx.grpc_server import GrpcServer
from tests.support.grpc_host import Host, peer

SENDER = DialogSender({"call_id": "c1", "session_id": "1", "rc_account_id": "ours"})


def media(chunks: int = 1) -> bytes:
    return SENDER.media("agent", random.Random(1).randbytes(800 * chunks))


class Context:
    """A stream of these messages, as gRPC hands it to the listener."""

    def __init__(self, *messages: bytes) -> None:
        self._messages = iter(messages)

    async def read(self) -> Any:
        return next(self._messages, grpc.aio.EOF)


@pytest.mark.parametrize(("stops", "reason"), [((), "cancelled"), ((SENDER.segment_stop("agent"),), "stop")])
def test_the_end_of_a_connection_is_no_stop_although_it_is_noticed_late(stops: Sequence[bytes], reason: str) -> None:
    host = Host()
    speaker = peer(host)

    async def slot() -> None:
        await asyncio.sleep(0)

    async def admit(context: Any) -> GrpcPeer:
        return speaker

    server: Any = GrpcServer.__new__(GrpcServer)
    server._host, server._streams, server._admit = SimpleNamespace(now=lambda: host.time, slot=slot), {}, admit

    async def main() -> None:
        messages = (SENDER.dialog_init(), SENDER.segment_start("agent"), media(), *stops)
        stream = asyncio.create_task(server._stream(None, Context(*messages)))
        for _ in range(40):
            host.time += 0.020
            await slot()
        stream.cancel()  # which comes from gRPC
        await asyncio.gather(stream, return_exceptions=True)

    asyncio.run(main())
    assert host.inlet is not None
    assert host.inlet.reason == reason
