"""Answers of one engine to the requests ``live`` and ``live_call``: its calls as `flowcore top` shows them.

They are made in a thread beside the event loop, from counters that the engine has anyway.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from flowcore.call_ids import normalize_id
from flowcore.control.level_probes import LevelProbes
from flowcore.control.live_figures import Figures, LiveFigures
from flowcore.control.live_query import LiveQuery, Sort
from flowcore.control.recent_events import RecentEvents
from flowcore.engine.border import Border
from flowcore.engine.engine import Engine
from flowcore.engine.event_fields import explained, plain
from flowcore.engine.flow import CLOSED, Flow
from flowcore.engine.losses import Losses
from flowcore.engine.node_run import NodeRun
from flowcore.engine.stats import NodeStats
from flowcore.graph.explain import wire
from flowcore.graph.plan import Plan
from flowcore.losses import Gap

NOTABLE: Final = 0.25
"""Fullness of a queue below which a call has no trouble: audio comes and goes in every queue."""
MAX_STRETCHES: Final = 500
"""Entries of each list of a timeline at most: the latest."""
MAX_FILES: Final = 10
"""Finished files that an answer names at most: the latest."""
CALL_EVENTS: Final = 50
"""Events of one call in an answer at most: the latest."""

Rank = list[Any]
"""What calls are sorted by, over all processes of a run; the smallest comes first. The last item is the flow."""


class LiveCalls:
    """The live calls of one engine, as clients see them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._figures = LiveFigures(engine)
        self._levels = LevelProbes()
        self._events = RecentEvents(engine.bus)

    def ranks(self, query: LiveQuery) -> dict[str, Any]:
        """Return rank and flow of the first ``offset + limit`` matching calls, and the figures of the process."""
        engine, totals = self._engine, self._engine.totals
        lost, counts = totals.lost.seconds, [totals.flows, totals.ended, totals.failed, totals.refused]
        look = self._figures.look()
        ranks = sorted(RANKS[query.sort](one) for one in look.calls if _matches(one.flow, query.match))
        return {
            "at": round(look.at, 3),
            "process": look.process,
            "totals": dict(zip(("started", "ended", "failed", "refused"), counts, strict=True)),
            "lost_ms": round((lost + sum(one.lost for one in look.calls)) * 1000),
            "versions": Counter(str(one.flow.version) for one in look.calls),
            "matched": len(ranks),
            "ranks": ranks[: query.offset + query.limit],
            "nodes": _sums(engine) if query.nodes else [],
            "events": self._events.latest(query.events),
        }

    def rows(self, flows: Collection[str], levels: bool) -> dict[str, Any]:
        """Return the rows of those of ``flows`` that are live here, by flow."""
        shown = [one for one in self._figures.look().calls if one.flow.id in flows and one.flow.state != CLOSED]
        if levels:
            self._levels.watch(one.flow for one in shown)
        return {one.flow.id: self._row(one, levels) for one in shown}

    def call(self, flow_id: str) -> dict[str, Any] | None:
        """Return all that is known of one call; None when this engine has no such flow."""
        flow = self._engine.flows.get(flow_id)
        if flow is None or flow.state == CLOSED:
            return None
        self._levels.watch([flow], talk=True)
        look = self._figures.look()
        figures = next((one for one in look.calls if one.flow is flow), None) or _fresh(flow)
        return {
            "at": round(self._engine.now(), 3),
            "call": self._row(figures, levels=True),
            "nodes": _nodes(flow),
            "timeline": self._timeline(flow),
            "files": [plain(path) for path in flow.summary.files[-MAX_FILES:]],
            "events": self._events.latest(CALL_EVENTS, flow.id),
        }

    def _row(self, figures: Figures, levels: bool) -> dict[str, Any]:
        flow, border = figures.flow, figures.border
        probe = self._levels.of(flow) if levels else None
        measured = probe.levels() if probe is not None else {}
        return {
            **describe(flow, figures.losses),
            "age_s": round(self._engine.now() - flow.opened_at, 1),
            "on_hold": figures.on_hold,
            "levels": {**dict.fromkeys(flow.parties if levels else ()), **measured},
            "lost_recent_ms": round(figures.recent * 1000),
            "lost": figures.losses.json(),
            "worst_queue": _queue(border) if border is not None else None,
            "latency_ms": round(figures.wait * 1000, 1),
            "delay_ms": round(max((one.longest for one in tuple(flow.borders.values())), default=0.0) * 1000),
            "failed": [error.node for error in tuple(flow.failures)],
        }

    def _timeline(self, flow: Flow) -> dict[str, Any]:
        lost = self._engine.bus.declared.lost
        gaps = [
            {
                **_stretch(gap),
                "ms": round(gap.seconds * 1000, 1),
                "node": node,
                "reason": reason,
                "lost": lost(node, reason),
            }
            for node, reason, gap in flow.gaps.latest(MAX_STRETCHES)
        ]
        probe = self._levels.of(flow)
        talk = probe.talk() if probe is not None else []
        return {
            "until_s": round(self._engine.now() - flow.opened_at, 2),
            "gaps": gaps,
            "holds": [_stretch(hold) for hold in flow.summary.holds],
            "silenced": [_stretch(span) for span in flow.silenced()[-MAX_STRETCHES:]],
            "talk": talk,
            "talk_since_s": probe.talk_since if probe is not None else None,
        }


def describe(flow: Flow, losses: Losses) -> dict[str, Any]:
    """Return what a list of calls shows of one, in JSON values; audio lost and queued is in ms.

    ``paused`` says whether an operator silenced the whole call, ``muted`` which parties.
    """
    return {
        "flow": flow.id,
        "call_id": flow.call_id,
        "since": flow.session.started.isoformat(timespec="seconds"),
        "state": flow.state,
        "version": str(flow.version),
        "parties": flow.parties,
        "paused": flow.silencing.paused,
        "muted": sorted(flow.silencing.muted),
        "lost_ms": round(losses.seconds * 1000),
        "queue_ms": round(flow.queued() * 1000),
    }


def _trouble(one: Figures) -> Rank:
    fullness = round(one.fullness, 1) if one.fullness >= NOTABLE else 0.0
    return [-len(one.flow.failures), -round(one.recent, 3), -fullness, -one.lost, one.flow.opened_at, one.flow.id]


RANKS: Final[Mapping[Sort, Callable[[Figures], Rank]]] = {
    "trouble": _trouble,
    "oldest": lambda one: [one.flow.opened_at, one.flow.id],
    "newest": lambda one: [-one.flow.opened_at, one.flow.id],
    "lost": lambda one: [-one.lost, one.flow.opened_at, one.flow.id],
    "queue": lambda one: [-one.fullness, one.flow.opened_at, one.flow.id],
    "latency": lambda one: [-one.wait, one.flow.opened_at, one.flow.id],
    "id": lambda one: [one.flow.call_id, one.flow.id],
}


def _matches(flow: Flow, text: str) -> bool:
    """Whether an id of the call contains ``text``, in the form that `flowcore.call_ids` compares."""
    wanted = normalize_id(text)
    return not wanted or any(wanted in normalize_id(one) for one in (flow.id, flow.call_id, *flow.session.ids))


def _fresh(flow: Flow) -> Figures:
    """Return figures of a call that began after the latest look."""
    losses = flow.losses()
    return Figures(flow, losses, losses.seconds, losses.seconds, None, 0.0, 0.0, on_hold=False)


def _stretch(gap: Gap) -> dict[str, Any]:
    return {"track": gap.track, "start": round(gap.start, 3), "end": round(gap.end, 3)}


def _queue(border: Border) -> dict[str, Any]:
    limit = round(border.plan.seconds * 1000)
    return {
        "node": border.name,
        "ms": round(border.depth * 1000),
        "limit_ms": limit,
        "fullness": round(border.fullness, 3),
    }


def _nodes(flow: Flow) -> list[dict[str, Any]]:
    runs, borders, losses = dict(flow.runs), dict(flow.borders), flow.losses()
    nodes = []
    for name, stats in flow.stats().items():
        border, run = borders.get(name), runs.get(name)
        queue = None
        if border is not None:
            queue = _queue(border) | {
                "on_full": border.plan.on_full,
                "latest_wait_ms": round(border.wait * 1000, 1),
                "mean_wait_ms": round(border.waits.mean * 1000, 1),
                "longest_wait_ms": round(border.longest * 1000, 1),
            }
        nodes.append(_node(flow.plan, name, stats, losses) | _state(run) | {"queue": queue})
    return nodes


def _state(run: NodeRun | None) -> dict[str, Any]:
    failed = run.failed if run is not None else None
    if run is None or failed is None:
        return {"state": "ok", "error": ""}
    return {
        "state": "restarting" if run.plan.on_error == "restart" else "failed",
        "error": explained(failed.cause)["cause"],
    }


def _node(plan: Plan, name: str, stats: NodeStats, losses: Losses) -> dict[str, Any]:
    node = plan.nodes[name]
    counted = stats.json()
    return {
        "name": name,
        "use": node.cls.name,
        "inputs": [wire(plan, source, output) for source, output in node.inputs],
        "chain": node.chain,
        **{key: counted[key] for key in ("in", "out", "dropped", "filled")},
        "lost_ms": round(losses[name].total().seconds * 1000) if name in losses else 0,
        "busy_ms": counted["own_ms"],
    }


def _sums(engine: Engine) -> list[dict[str, Any]]:
    """Return the sums by node of ended calls and of live ones, for the nodes of the current version of the graph."""
    totals, plan = engine.totals, engine.plan
    sums: dict[str, NodeStats] = {name: NodeStats() for name in plan.nodes}
    losses, fullest = Losses(), dict.fromkeys(plan.nodes, 0.0)
    losses.add(Losses(totals.lost))
    for name, ended in tuple(totals.nodes.items()):
        if name in sums:
            sums[name].add(ended)
    for flow in tuple(engine.flows.values()):
        losses.add(flow.losses())
        for name, stats in flow.stats().items():
            if name in sums:
                sums[name].add(stats)
                fullest[name] = max(fullest[name], stats.depth)
    nodes = []
    for name, stats in sums.items():
        border = plan.nodes[name].border
        queue = None
        if border is not None:
            depths = {"ms": round(stats.depth * 1000), "worst_ms": round(fullest[name] * 1000)}
            queue = {**depths, "limit_ms": round(border.seconds * 1000), "on_full": border.on_full}
        nodes.append(_node(plan, name, stats, losses) | {"queue": queue})
    return nodes
