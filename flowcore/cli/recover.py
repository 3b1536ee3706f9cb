"""``flowcore recover``: complete the files that killed processes left."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from flowcore.cli.options import plan_of
from flowcore.engine.bus import Bus, Event
from flowcore.engine.recovery import recover as recover_plan
from flowcore.engine.totals import ProcessReport, Totals
from flowcore.errors import UsageError
from flowcore.events import FILE_REPAIRED
from flowcore.files import PARTIAL_SUFFIX
from flowcore.node import Config, Node
from flowcore.paths import PathTemplate
from flowcore.registry import available

JOURNAL = f".json{PARTIAL_SUFFIX}"
"""The end of a name that belongs to the file beside it."""


def recover(
    place: Annotated[
        Path, typer.Argument(metavar="DIR|GRAPH", help="A directory with recordings, or a graph file.")
    ] = Path("recordings"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON for each file.")] = False,
) -> None:
    """Complete recordings and transcripts that a killed process left.

    `flowcore run` does the same at each start, for the files of its graph. Files that another process still writes are
    left alone. With a graph, transcripts get the names and the format of that graph.

    Exit code: 0 done, 1 some files could not be completed, 2 the command line or the graph is wrong.
    """
    began = time.time()
    done: list[Event] = []
    bus = Bus()
    bus.subscribe(done.append)
    if place.is_dir():
        for cls, config in _who_can(place):
            cls.recover(config, ProcessReport(Totals(), bus, cls.name))
    elif place.exists():
        recover_plan(plan_of(place, None), bus)
    else:
        raise UsageError(f"{place} does not exist: give a directory with recordings, or a graph")
    bus.deliver()
    rows = [_row(event) for event in done]
    partials = (path for path in place.rglob(f"*{PARTIAL_SUFFIX}") if not path.name.endswith(JOURNAL))
    named = {row["path"] for row in rows}
    left = sorted(path for path in partials if str(path) not in named)
    for row in rows:
        typer.echo(json.dumps(row) if as_json else f"{row['event'].replace('_', ' '):<13} {row['path']}{_more(row)}")
    if not as_json:
        for path in left:
            typer.echo(f"{'left alone':<13} {path}  (not a file that flowcore completes, or still being written)")
        repaired = sum(row["event"] == FILE_REPAIRED.name for row in rows)
        took = time.time() - began
        typer.echo(f"{repaired} completed, {len(rows) - repaired} not, {len(left)} left alone, in {took:.1f} s")
    raise typer.Exit(int(any(row["event"] != FILE_REPAIRED.name for row in rows)))


def _who_can(root: Path) -> Iterator[tuple[type[Node], Any]]:
    """Yield each node that completes files, with a config that would write the files below ``root``."""
    kinds = sorted({(part.parent, _suffix(part)) for part in root.rglob(f"*{PARTIAL_SUFFIX}")})
    if not kinds:
        return
    classes = [entry.load() for entry in available().values() if not entry.rival]
    able = [cls for cls in classes if cls.recover.__func__ is not Node.recover.__func__]  # type: ignore[attr-defined]
    for folder, suffix in kinds:
        template = f"{folder.as_posix().replace('{', '{{').replace('}', '}}')}/{{flow}}{suffix}"
        for cls in able:
            for fields in _with_path(cls.Config, template):
                try:
                    yield cls, cls.Config(**fields)
                except ValidationError:
                    continue  # another node writes files of this kind


def _with_path(config: type[Config], template: str) -> Iterator[dict[str, Any]]:
    """Yield the fields of a config that name the files: its ``path``, or that of one of its parts."""
    for name, field in config.model_fields.items():
        kind: Any = field.annotation
        if name == "path" and kind is PathTemplate:
            yield {name: template}
        elif isinstance(kind, type) and issubclass(kind, Config):
            yield from ({name: inner} for inner in _with_path(kind, template))


def _suffix(part: Path) -> str:
    """Return the suffix of the complete file; the journal beside a recording is called ``x.wav.json.part``."""
    name = Path(part.name.removesuffix(PARTIAL_SUFFIX))
    return Path(name.stem).suffix or name.suffix if name.suffix == ".json" else name.suffix


def _row(event: Event) -> dict[str, Any]:
    data = {key: value if isinstance(value, int | float) else str(value) for key, value in event.data.items()}
    return {"event": event.name, "node": event.node, **data}


def _more(row: dict[str, Any]) -> str:
    if "seconds" in row:
        return f"  {row['seconds']:g} s"
    why = row.get("detail") or row.get("cause")
    return f"  ({why})" if why else ""
