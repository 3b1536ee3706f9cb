"""The command ``flowcore tap``: listen to any node of a running call, with or without a sound card."""

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

from flowcore import Audio, CannotStart, Extra
from flowcore.cli.options import Control
from flowcore.control import TapConnection, only_running, running
from flowcore.diagnostics import printable
from flowcore.events import Level
from flowcore.registry import available
from flowcore.report import NoReport
from nodes.sound.meter import Meter
from nodes.sound.tap_audio import by_party, levels_db, to_int16

METER_INTERVAL = 0.1  # seconds between two updates of the meter, and between two looks at the end of the playout
PLAY_RATE = 16000  # sample rate at which the card is opened, in Hz
DRAIN_TIMEOUT = 2.0  # seconds for the playout of the last audio, including the time in which the card is opened
PLAYOUT_DEPTH = 0.08  # seconds that audio waits before it is played; the tap delivers chunks of 20 ms every 20 ms


def tap(
    call: Annotated[
        str,
        typer.Argument(
            metavar="CALL", help="newest, any id of the call (flow, call id, phone number, …), or the beginning of one."
        ),
    ],
    node: Annotated[
        str,
        typer.Argument(
            metavar="[NODE[.PORT]]", help="The node's output, or a sink's input. Left out: the first samples."
        ),
    ] = "",
    play: Annotated[bool, typer.Option("--play", help="Play on this machine's sound card.")] = False,
    wav: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a WAV file.")] = None,
    meter: Annotated[bool, typer.Option("--meter", help="Show live levels of both parties (the default).")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One line per chunk: times and level, or words.")] = False,
    control: Control = None,
) -> None:
    """Listen to any node of a running call.

    The command ends with the call, or with Ctrl-C.

    The call never waits for the command: chunks that it does not take in time are left out, and counted.

    Exit code: 0 done, 1 there is no sound output, 2 there is no such call or node.
    """
    if sum((play, wav is not None, meter, as_json)) > 1:
        raise typer.BadParameter("give one of --play, --wav, --meter and --json")
    with TapConnection(control or only_running(running()), call, node) as listening:
        what = listening.hello
        if what["format"].get("kind") == "text" and not as_json:
            raise typer.BadParameter(f"{what['node']} gives text, not audio: use --json")
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
                typer.echo(f"{listening.lost} chunks were left out: this command was too slow", err=True)
        if not listening.end:
            typer.echo("the call has ended, and its process too", err=True)


def _lines(listening: TapConnection) -> None:
    while listening.end is None:
        for head, data in listening.messages(1.0):
            if "encoding" in head:
                samples = to_int16(head, data)
                rms, peak = (round(one, 1) if math.isfinite(one) else None for one in levels_db(samples))
                start, end = (round(at / head["rate"], 4) for at in (head["start"], head["start"] + len(samples)))
                levels = {"rms_db": rms, "peak_db": peak}
                head = {"track": head["track"], "start": start, "end": end, **levels, "lost": head["lost"]}
            print(json.dumps(head, ensure_ascii=False), flush=True)  # noqa: T201  # the result


def _write(listening: TapConnection, path: Path) -> None:
    form = listening.hello["format"]
    channels = 1 if form["layout"] == "mono" else 2
    at: int | None = None
    join: Any = available()["interleave"].load()  # as a graph joins the parties
    joiner = join(join.Config(wait="1s"))
    with path.open("wb") as out, wave.open(out, "wb") as file:  # wave prints a traceback for a path that it cannot open
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(form["rate"])

        def write(chunk: Audio) -> None:
            nonlocal at
            hole = 0 if at is None else max(0, chunk.start - at)
            at = chunk.end
            samples = chunk.samples.astype("<i2").tobytes()
            file.writeframes(bytes(hole * channels * 2) + samples)  # and the sizes: always a complete file

        try:
            while listening.end is None:
                for head, data in listening.messages(1.0):
                    chunk = Audio(to_int16(head, data), "s16", head["rate"], head["track"], head["start"])
                    if form["layout"] == "tracks":
                        joiner.process(chunk, write)
                    else:
                        write(chunk)
        finally:
            joiner.flush(write)
    typer.echo(str(path))


def _show(listening: TapConnection) -> None:
    what = listening.hello
    source = what["node"] + (f".{what['port']}" if what["port"] else "")
    name = printable(what["call_id"] or what["flow"])  # the peer chose it
    meter = Meter(f"{name}  {source}")
    with Live(console=Console(), auto_refresh=False, transient=False) as screen:
        while listening.end is None:
            until = time.monotonic() + METER_INTERVAL
            while listening.end is None and (left := until - time.monotonic()) > 0:
                for head, data in listening.messages(left):
                    samples = to_int16(head, data)
                    for party, one in by_party(head["track"], samples):
                        meter.hear(party, *levels_db(one), time.monotonic())
                    meter.position = (head["start"] + len(samples)) / head["rate"]
            meter.lost = listening.lost
            screen.update(meter.draw(time.monotonic()), refresh=True)


def _play(listening: TapConnection) -> None:
    Extra("sounddevice", "monitor").check("--play")
    from datetime import datetime

    from nodes.audio import rates
    from nodes.sound.mixer import Call, Choice
    from nodes.sound.speaker import Speaker

    speaker = Speaker("", PLAY_RATE)
    speaker.now = time.monotonic
    report = speaker.report = _PlayReport()
    what = listening.hello
    heard = Call(what["flow"], what["call_id"], datetime.now().astimezone(), Choice("all"))
    filters: dict[str, Any] = {}
    speaker.mixer.join(heard)
    speaker.open()
    try:
        while listening.end is None:
            for head, data in listening.messages(0.1):
                for party, samples in by_party(head["track"], to_int16(head, data)):
                    if head["rate"] != PLAY_RATE:
                        if party not in filters:
                            filters[party] = rates.make_filter(head["rate"], PLAY_RATE, "auto", samples)
                        samples = filters[party].feed(samples)
                    speaker.mixer.push(heard, party, samples, time.monotonic(), PLAYOUT_DEPTH)
            report.check()
        speaker.mixer.leave(heard)
        until = time.monotonic() + DRAIN_TIMEOUT
        while not speaker.mixer.idle and time.monotonic() < until:
            report.check()  # a short call may end before the speaker reports a missing card
            time.sleep(METER_INTERVAL)
        time.sleep(METER_INTERVAL)  # the card plays what it holds
    finally:
        speaker.close()


class _PlayReport(NoReport):
    """Report of the speaker that ends the command when there is no card."""

    missing = ""

    def check(self) -> None:
        """Raise `CannotStart` when there is no card."""
        if self.missing:
            raise CannotStart(f"cannot play: {self.missing}; --meter shows levels without a card")

    def event(self, name: str, /, *, level: Level | None = None, **data: Any) -> None:
        if name in ("speaker_missing", "speaker_lost"):
            self.missing = str(data["cause"])
        elif name == "speaker_opened":
            print(f"playing on {data['device']}", file=sys.stderr)  # noqa: T201  # not part of a result
