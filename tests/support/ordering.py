"""Packets written as text, through the sequencer: the order that comes out, as text."""

from flowcore import Packet
from nodes.jitterbuffer.ordered import Held
from nodes.jitterbuffer.sequence import Sequencer


class Log:
    """Writes down what it hears: ``a5`` for a packet, ``?ac`` for one lost of agent or customer; ``-`` for drops."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.dropped_lines: list[str] = []

    def follow(self, packet: Packet) -> None:
        self.lines.append(f"{packet.track}{packet.seq}")

    def lost(self, held: Held, count: int) -> None:
        self.lines += ["?" + "".join(held)] * count

    def too_early(self, held: Held, count: int) -> bool:
        return False

    def jumped(self, held: Held, count: int) -> bool:
        return False

    def dropped(self, reason: str, seconds: float = 0.0, chunks: int = 1) -> None:
        self.dropped_lines.append(f"-{reason}")

    def filled(self, reason: str, seconds: float, chunks: int = 0) -> None:
        raise AssertionError("the sequencer makes nothing up")

    def event(self, event: str, **data: object) -> None:
        self.lines.append(f"!{event}")


def ordered(text: str, *, wait: bool = True, spacing: float = 0.01) -> Log:
    """Play packets written as ``a1 c1 a2``, 20 ms each, one every ``spacing`` seconds."""
    log = Log()
    sequencer = Sequencer(log, log, window=0.12, wait=wait, jump=5)
    for at, name in enumerate(text.split()):
        sequencer.push(Packet(name[0], int(name[1:]), bytes(160), at * spacing))
    sequencer.flush()
    return log


def run_of(track: str, numbers: range) -> str:
    return " ".join(f"{track}{number}" for number in numbers)


def pairs(numbers: range) -> str:
    return " ".join(f"a{number} c{number}" for number in numbers)
