"""The commands ``flowcore devices``, which lists outputs, and ``flowcore monitor``, which selects calls."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.table import Column, Table
from rich.text import Text

from flowcore import Decibels, Extra
from flowcore.cli.options import Control
from flowcore.cli.show import show_result, whole_columns
from flowcore.control import ask, find_call, only_running, running
from flowcore.diagnostics import printable
from nodes.sound.mixer import ALL, NEWEST, OFF, Channels
from nodes.sound.speaker import CONTROL_REQUEST

MIN_VOLUME_DB, MAX_VOLUME_DB = -60, 20
Json = Annotated[bool, typer.Option("--json", help="Print JSON on one line.")]


def devices(as_json: Json = False) -> None:
    """List the sound outputs of this machine.

    The field `device` of the node `monitor` takes a part of a name.

    Exit code: 0 done, 1 there is no output, 2 the extra monitor is not installed.
    """
    Extra("sounddevice", "monitor").check("`flowcore devices`")
    from nodes.sound.card import outputs

    found = outputs()
    if as_json:
        print(json.dumps(found))  # noqa: T201  # the result
    elif found:
        table = _table("", "output", "through", "channels", "rate")
        for one in found:
            mark = "*" if one["default"] else ""
            table.add_row(mark, Text(one["name"]), one["through"], str(one["channels"]), f"{one['rate']} Hz")
        show_result(whole_columns(table))
    else:
        typer.echo("there is no sound output: is a card there, and a sound server (PulseAudio, PipeWire) running?")
    if not found:
        raise typer.Exit(1)


def monitor(
    call: Annotated[
        str, typer.Argument(metavar="[CALL]", help="newest, all, off, any id of the call, or the beginning of one.")
    ] = "",
    channels: Annotated[Channels | None, typer.Option(help="Which party in which ear.")] = None,
    volume: Annotated[str, typer.Option(metavar="LEVEL", help="Volume, such as -6dB.")] = "",
    reset: Annotated[bool, typer.Option("--reset", help="Restore what the graph says.")] = False,
    control: Control = None,
    as_json: Json = False,
) -> None:
    """Show which call the node `monitor` plays, or play another call.

    Without an argument it only lists the live calls; ♪ marks the calls that are heard.

    Exit code: 0 done, 2 nothing is running, there is no such call, or the graph has no node `monitor`.
    """
    path = control or only_running(running())
    change: dict[str, Any] = {}
    if call:
        change["select"] = call if call in (NEWEST, ALL, OFF) else find_call(path, call)["flow"]
    if channels is not None:
        change["channels"] = channels
    if volume:
        change["volume"] = 10 ** (_level(volume) / 20)
    answers, _ = ask(path, {"ask": CONTROL_REQUEST, "reset": reset, "change": change})
    if as_json:
        print(json.dumps(answers))  # noqa: T201  # the result
        return
    for worker, answer in answers.items():
        where = f"on {answer['device']}" if answer["device"] else "nowhere: there is no sound output now"
        show_result(Text(f"worker {worker} plays {where}" if len(answers) > 1 else f"plays {where}"))
        silenced = any(map(_silenced, answer["calls"]))
        table = _table("", "flow", "call id", "select", "channels", "volume", *["silenced"] * silenced)
        for one in answer["calls"]:
            shown = printable(one["call_id"])  # the peer chose it
            mark, volume = "♪" if one["heard"] else "", f"{one['volume_db']:g} dB"
            row = (mark, one["flow"], Text(shown), Text(one["select"]), one["channels"], volume)
            table.add_row(*row, *([Text(_silenced(one))] if silenced else []))
        show_result(whole_columns(table) if answer["calls"] else Text("no calls"))


def _silenced(call: Mapping[str, Any]) -> str:
    """Return what an operator silences of a call, which is why nothing is heard."""
    return "paused" if call["paused"] else printable(", ".join(call["muted"]))


def _table(*columns: str) -> Table:
    return Table(*(Column(name, no_wrap=True) for name in columns), box=None, pad_edge=False)


def _level(text: str) -> float:
    try:
        level = float(Decibels(text))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--volume") from None
    if not MIN_VOLUME_DB <= level <= MAX_VOLUME_DB:
        raise typer.BadParameter(f"give a level from {MIN_VOLUME_DB}dB to {MAX_VOLUME_DB}dB", param_hint="--volume")
    return level
