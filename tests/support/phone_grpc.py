"""One gRPC stream at a time in a test's hands: as `phone`, for the other transport."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any

import grpc

from nodes.ringcx.dialog_sender import METHOD, DialogSender
from tests.support.live import ROOT
from tools.load import mulaw

CHUNK = 800
TRACKS = ("agent", "customer")
PATIENCE = 30


def over_grpc(folder: Path, name: str) -> str:
    """A copy of a graph of the project with one word changed, as `live.Live` wants it named."""
    text = (ROOT / "graphs" / f"{name}.yaml").read_text()
    assert "use: ringcx," in text
    (folder / f"{name}_grpc.yaml").write_text(text.replace("use: ringcx,", "use: ringcx_grpc,"))
    return str(folder / f"{name}_grpc")


class GrpcPhone:
    """One stream. ``trust`` is the PEM of an authority, for TLS; ``channel`` that of another phone, to share.

    ``wait`` waits for a receiver that does not listen yet.
    """

    def __init__(
        self,
        url: str,
        call: str = "one",
        *,
        metadata: tuple[tuple[str, str], ...] = (),
        trust: bytes = b"",
        target: str = "",
        channel: grpc.Channel | None = None,
        wait: bool = False,
        **attributes: str,
    ) -> None:
        target = target or url.partition("://")[2]
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        self._shared = channel is not None
        if channel is not None:
            self.channel = channel
        elif trust:
            self.channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(trust), options)
        else:
            self.channel = grpc.insecure_channel(target, options)
        self.sender = DialogSender({"call_id": call, "session_id": "1", **attributes})
        self._messages: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        stream = self.channel.stream_unary(METHOD)
        self.call: Any = stream.future(iter(self._messages.get, None), metadata=metadata or None, wait_for_ready=wait)

    def say(self, *messages: bytes) -> None:
        for message in messages:
            self._messages.put(message)

    def start(self) -> None:
        self.say(self.sender.dialog_init(), *map(self.sender.segment_start, TRACKS))

    def talk(self, call: int, seconds: float, since: float = 0.0) -> None:
        """Both parties' audio, as fast as it is taken."""
        parts = {track: mulaw(call, track, seconds)[round(since * 8000) :] for track in TRACKS}
        for at in range(0, len(parts["agent"]), CHUNK):
            self.say(*(self.sender.media(track, data[at : at + CHUNK]) for track, data in parts.items()))

    def hang_up(self) -> str:
        """The segments' stops and the end of the stream; how it was answered."""
        self.say(*map(self.sender.segment_stop, TRACKS))
        self._messages.put(None)
        return self.answer()

    def answer(self) -> str:
        """The status that the receiver gives, once it does."""
        try:
            self.call.result(PATIENCE)
        except grpc.RpcError:
            pass
        finally:
            self._messages.put(None)
            if not self._shared:
                self.channel.close()
        return str(self.call.code().name)

    def cancel(self) -> None:
        self.call.cancel()
        self._messages.put(None)
        self.channel.close()
