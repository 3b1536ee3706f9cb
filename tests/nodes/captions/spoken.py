"""Words instead of speech: each packet of a call holds a text, so that a test decides what is said, and when."""

import msgspec

from flowcore import PACKETS, Emit, Format, Packet, Text, Transform, node


@node("spoken")
class Spoken(Transform[Packet, Text]):
    """In: ``Packet`` whose data is a ``Text`` as JSON. Out: that text; at the end what is open becomes final."""

    caps = (PACKETS,)

    @classmethod
    def gives(cls, config, given):
        return Format("text")

    def __init__(self, config):
        self._open = {}

    def process(self, chunk: Packet, emit: Emit[Text]) -> None:
        if not chunk.data.startswith(b"{"):  # an operator silenced it
            return
        text = msgspec.json.decode(chunk.data, type=Text)
        self._open[text.track] = text
        emit(text)

    def flush(self, emit: Emit[Text]) -> None:
        for text in self._open.values():
            if not text.final:
                emit(msgspec.structs.replace(text, final=True))
