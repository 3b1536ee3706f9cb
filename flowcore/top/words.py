"""Live data in words: short enough for a column, and clear without colours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from flowcore.diagnostics import counted, listed, printable

BARS: Final = "▁▂▃▄▅▆▇█"
QUIET_DB: Final = -60.0
"""Level of the lowest bar, in dB full scale."""
NOTABLE: Final = 0.25
"""Fullness of a queue from which a call is marked."""
MARKS: Final = {"failed": "✗", "lost": "!", "queue": "▲", "": " "}
"""Marks of calls with trouble, the worst first."""
STYLES: Final = {"failed": "bold red", "lost": "bold red", "queue": "yellow", "": ""}
"""Their colours; the marks say the same."""
APART: Final = frozenset({"event", "level", "timestamp", "worker", "flow", "node", "call_id"})
"""Fields of an event that are not shown with their names."""
_STATES: Final = {"opening": "opening", "running": "live", "draining": "ending"}


def trouble(call: Mapping[str, Any]) -> str:
    """Return the key of a call's mark in `MARKS`."""
    if call["failed"]:
        return "failed"
    if call["lost_recent_ms"]:
        return "lost"
    queue = call["worst_queue"]
    return "queue" if queue and queue["fullness"] >= NOTABLE else ""


def state(call: Mapping[str, Any]) -> str:
    """Return the state of a call in one word, or the parties that are muted."""
    if call["state"] != "running":
        return _STATES[call["state"]]
    if call["paused"]:
        return "paused"
    if call["muted"]:
        return "muted"
    return "hold" if call["on_hold"] else "live"


def whole_state(call: Mapping[str, Any]) -> str:
    """Return all that there is to say of a call's state."""
    parts = [_STATES[call["state"]]]
    if call["paused"]:
        parts.append("paused")
    elif call["muted"]:
        parts.append(f"muted: {listed(map(printable, call['muted']))}")
    parts += ["on hold"] if call["on_hold"] else []
    return ", ".join(parts)


def age(seconds: float) -> str:
    """Return a length as ``4:07`` or ``1:04:07``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def length(ms: float) -> str:
    """Return milliseconds as ``40 ms``, ``1.2 s`` or ``5 min``; 0 is a dash, so that others are seen."""
    if not ms:
        return "–"
    if ms < 1000:
        return f"{ms:.0f} ms" if ms >= 10 else f"{ms:.1f} ms"
    return f"{ms / 1000:.1f} s" if ms < 100_000 else f"{ms / 60_000:.0f} min"


def level(db: float | None) -> str:
    """Return a level as a bar and a number."""
    if db is None:
        return "–"
    place = min(max((db - QUIET_DB) / -QUIET_DB, 0.0), 1.0)
    return f"{BARS[round(place * (len(BARS) - 1))]} {db:.0f}"


def queue(worst: Mapping[str, Any] | None) -> str:
    """Return how full the fullest queue of a call is."""
    return f"{worst['fullness'] * 100:.0f} %" if worst and worst["fullness"] >= 0.005 else "–"


def amounts(reasons: Mapping[str, Mapping[str, float]]) -> str:
    """Return counters by reason: ``late 40 ms, queue_full 1.2 s``; of texts and messages their number."""
    return ", ".join(
        f"{printable(reason)} {length(amount['ms']) if amount['ms'] else amount['chunks']}"
        for reason, amount in reasons.items()
    )


def losses(lost: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Return the losses of a call by node and reason."""
    return "; ".join(f"{node}: {amounts(reasons)}" for node, reasons in lost.items())


def run_title(page: Mapping[str, Any], room: str, *, short: bool = False) -> str:
    """Return what runs, and how many calls it has; ``short`` leaves out the folder of the graph."""
    run = page["run"]
    graph = printable(run["graph"])
    parts = [graph.rpartition("/")[2] if short else graph, run["version"], f"{run['calls']} of {run['limit']} calls"]
    parts += [room] if room else []
    parts += ["draining: takes no more calls"] if run["draining"] else []
    if len(run["versions"]) > 1:
        parts.append(listed([f"{count} of {name}" for name, count in run["versions"].items()]))
    return "  ".join(filter(None, parts))


def run_totals(page: Mapping[str, Any]) -> str:
    """Return the counters of a run since its start, and what its processes use."""
    run, processes = page["run"], page["processes"]
    used = [one["cpu"] for one in processes if one["cpu"] is not None]
    parts = [f"{run['started']} started", f"{run['failed']} failed", f"{run['refused']} refused"]
    parts.append(f"lost {length(run['lost_ms']).replace('–', 'nothing')}")
    parts += [f"{sum(used):.2f} cores"] if used else []
    parts += [f"{len(processes)} processes"] if len(processes) > 1 else []
    unready = sorted({one["not_ready"] for one in processes if one["not_ready"]} - {"stopping"})
    parts += [f"takes no call: {listed(unready)}"] if unready else []
    if page["missing"]:
        parts.append(f"no answer from {counted(len(page['missing']), 'worker')} {listed(map(str, page['missing']))}")
    return "  ".join(parts)


def event(record: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return an event in one line: its time, name, call and fields. ``names`` are those of calls, by flow."""
    shown = {key: value for key, value in record.items() if key not in APART and value not in ("", [], {})}
    fields = [f"{key}={_value(value)}" for key, value in shown.items()]
    flow = str(record.get("flow", ""))
    about = [str(record.get("node", "")), names.get(flow, printable(str(record.get("call_id") or flow)))]
    return " ".join(filter(None, [_clock(record["timestamp"]), str(record["event"]), *about, *fields]))


def _value(value: Any) -> str:
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ",".join(map(str, value))
    return printable(str(value))


def _clock(timestamp: str) -> str:
    return f"{datetime.fromisoformat(timestamp).astimezone():%H:%M:%S}"
