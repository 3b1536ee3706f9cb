"""``flowcore tap``: listen to a call that runs, without a sound card or with one, without the call noticing."""

from __future__ import annotations

import json
import math
import sys
import time
import wave
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live

from flowcore import CannotStart, Extra
from flowcore.audio import SAMPLE_BYTES
from flowcore.control import TapConnection, only_running, running
from flowcore.events import Level
from nodes.sound.meter import Meter
from nodes.sound.sounds import SideBySide, by_party, level, linear

AGAIN = 0.1
"""Seconds between two pictures."""
RATE = 16000
LAST = 2.0
"""Seconds that the last words may take, also when the card is only being opened."""
DEPTH = 0.08
"""Seconds that audio waits before it is played: what comes in pieces of 20 ms is looked for every 20 ms."""


def tap(
    call: Annotated[str, typer.Argument(metavar="CALL", help="newest, a flow, a call id, or the beginning of one.")],
    node: Annotated[
        str,
        typer.Argument(
            metavar="[NODE[.PORT]]", help="What it gives; of a sink, what it takes. Else the first samples."
        ),
    ] = "",
    play: Annotated[bool, typer.Option("--play", help="On this machine's sound card.")] = False,
    wav: Annotated[Path | None, typer.Option(metavar="FILE", help="Into a WAV file.", show_default=False)] = None,
    meter: Annotated[bool, typer.Option("--meter", help="Live levels of both parties; so without an option.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A line for each piece: times and level, or words.")] = False,
    control: Annotated[
        Path | None, typer.Option(help="The socket of the process to ask, as its log names it.", show_default="the one")
    ] = None,
) -> None:
    """Listen to any node of a running call.

    It goes on until the call ends, or Ctrl-C.

    The call never waits for it: what is not taken in time is left out, and counted.

    Exit code: 0 done, 1 there is no sound output, 2 there is no such call or node.
    """
    if sum((play, wav is not None, meter, as_json)) > 1:
        raise typer.BadParameter("give one of --play, --wav, --meter and --json")
    with TapConnection(control or only_running(running()), call, node) as listening:
        what = listening.hello
        if what["format"].get("kind") == "text" and not as_json:
            raise typer.BadParameter(f"{what['node']} gives words, no sound: listen with --json")
        try:
            if as_json:
                _lines(listening)
            elif wav is not None:
                _write(listening, wav)
            elif play:
                _play(listening)
            else:
                _show(listening)
        except KeyboardInterrupt:
            return
        finally:
            if listening.lost:
                typer.echo(f"{listening.lost} chunks were left out: this side was too slow", err=True)
        if not listening.end:
            typer.echo("it has ended, and its process too", err=True)


def _lines(listening: TapConnection) -> None:
    while listening.end is None:
        for head, data in listening.messages(1.0):
            head.pop("bytes")
            if "encoding" in head:
                samples = linear(head, data)
                rms, peak = (round(one, 1) if math.isfinite(one) else None for one in level(samples))
                head = {
                    "track": head["track"],
                    "start": round(head["start"] / head["rate"], 4),
                    "end": round((head["start"] + len(samples)) / head["rate"], 4),
                    "rms_db": rms,
                    "peak_db": peak,
                    "lost": head["lost"],
                }
            print(json.dumps(head, ensure_ascii=False), flush=True)  # noqa: T201  # the result


def _write(listening: TapConnection, path: Path) -> None:
    form = listening.hello["format"]
    channels = 1 if form["layout"] == "mono" else 2
    pair = SideBySide(form["rate"])
    at: int | None = None
    with (
        path.open("wb") as out,
        wave.open(out, "wb") as file,
    ):  # given a path that it cannot open, wave shows a traceback
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(form["rate"])
        try:
            while listening.end is None:
                for head, data in listening.messages(1.0):
                    samples = linear(head, data)
                    if form["layout"] == "tracks":
                        samples = pair.add(head["track"], head["start"], samples)
                    elif (hole := head["start"] - (head["start"] if at is None else at)) > 0:
                        file.writeframes(bytes(hole * channels * 2))
                    at = head["start"] + head["bytes"] // (head["channels"] * SAMPLE_BYTES[head["encoding"]])
                    file.writeframes(samples.astype("<i2").tobytes())  # and the sizes: it is whole at any time
        finally:
            file.writeframes(pair.rest().astype("<i2").tobytes())
    typer.echo(str(path))


def _show(listening: TapConnection) -> None:
    what = listening.hello
    place = what["node"] + (f".{what['port']}" if what["port"] else "")
    name = "".join(c if c.isprintable() else "?" for c in what["call_id"] or what["flow"])  # which the peer chose
    meter = Meter(f"{name}  {place}")
    with Live(console=Console(), auto_refresh=False, transient=False) as screen:
        while listening.end is None:
            until = time.monotonic() + AGAIN
            while listening.end is None and (left := until - time.monotonic()) > 0:
                for head, data in listening.messages(left):
                    samples = linear(head, data)
                    for party, one in by_party(head, samples):
                        meter.hear(party, *level(one), time.monotonic())
                    meter.position = (head["start"] + len(samples)) / head["rate"]
            meter.lost = listening.lost
            screen.update(meter.draw(time.monotonic()), refresh=True)


def _play(listening: TapConnection) -> None:
    Extra("sounddevice", "monitor").check("--play")
    from datetime import datetime

    from nodes.audio import rates
    from nodes.sound.mixer import Call, Choice
    from nodes.sound.speaker import Speaker

    speaker = Speaker("", RATE)
    speaker.now = time.monotonic
    report = speaker.report = _Said()
    what = listening.hello
    heard = Call(what["flow"], what["call_id"], datetime.now().astimezone(), Choice("all"))
    filters: dict[str, Any] = {}
    speaker.mixer.join(heard)
    speaker.open()
    try:
        while listening.end is None:
            for head, data in listening.messages(0.1):
                for party, samples in by_party(head, linear(head, data)):
                    if head["rate"] != RATE:
                        if party not in filters:
                            filters[party] = rates.new(head["rate"], RATE, "auto", samples)
                        samples = filters[party].feed(samples)
                    speaker.mixer.push(heard, party, samples, time.monotonic(), DEPTH)
            report.check()
        speaker.mixer.leave(heard)
        until = time.monotonic() + LAST
        while not speaker.mixer.idle and time.monotonic() < until:
            report.check()  # a short call may be over before there is a word about the card
            time.sleep(AGAIN)
        time.sleep(AGAIN)  # what the card holds
    finally:
        speaker.close()


class _Said:
    """The speaker's report: a command that plays has no use without a card, and ends."""

    nothing = ""

    def check(self) -> None:
        """Raise `CannotStart` when there is no card."""
        if self.nothing:
            raise CannotStart(f"cannot play: {self.nothing}; --meter shows levels without a card")

    def dropped(self, reason: str, seconds: float = 0.0, chunks: int = 1) -> None: ...

    def filled(self, reason: str, seconds: float, chunks: int = 0) -> None: ...

    def event(self, name: str, /, *, level: Level | None = None, **data: Any) -> None:
        if name in ("speaker_missing", "speaker_lost"):
            self.nothing = str(data["cause"])
        elif name == "speaker_opened":
            print(f"playing on {data['device']}", file=sys.stderr)  # noqa: T201  # not part of a result
