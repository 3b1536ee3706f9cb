"""`make bench`: one figure for each budget, beside the budget; also as JSON, and as a gate on ratios.

    python -m tests.bench [PART…] [--quick] [--json FILE] [--gate | --expect]

Parts: micro, cost, metrics, paced, capacity, estimate, grpc, growth; all of them when none is named. ``speech``, the
estimate for transcription, takes many minutes and runs only when it is named. ``--gate`` compares ratios with
``expected.json`` and exits 1 when one is more than a fifth higher; ``--expect`` writes that file.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from flowcore.bench.trial import Outcome
from tests.bench import calls, machine, micro
from tests.bench.metrics_cost import BARE, Costs, metrics_cost

PARTS = ("micro", "cost", "metrics", "paced", "capacity", "estimate", "grpc", "growth")
SLOW_PARTS = ("speech",)
"""They run only when they are named."""
EXPECTED = Path(__file__).with_name("expected.json")
TOLERANCE = 1.2
"""A ratio may be this many times the expected one."""
TRIES = 3
"""Times that a ratio is measured before the gate calls it worse: what else runs can only make it look worse."""


STAGES = {
    "socket to slot": "from `send` to the read, as sent by the generator",
    "reorder": "waits on purpose: pieces of 200 ms, so 0 to 200 ms",
    "chain": "decoding, and until both parties' piece is there",
    "border": "until a thread takes the piece",
    "sink": "appending it to the file",
}
"""What `tests.bench.stages` measures, in words."""


@dataclass
class Row:
    """One line of the table. ``held`` is None where there is no budget, or no word about it is possible."""

    what: str
    measured: str
    budget: str = ""
    held: bool | None = None
    note: str = ""


@dataclass
class Bench:
    """What was measured so far."""

    quick: bool
    console: Console
    rows: list[Row] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    most: int = 0

    def tell(self, text: str) -> None:
        self.console.print(f"  {text} …", style="dim")

    def at_most(self, what: str, value: float, unit: str, budget: float, note: str = "", doubt: bool = False) -> None:
        """A row whose figure must not exceed its budget."""
        held = None if doubt or math.isnan(value) else value <= budget
        self.rows.append(Row(what, f"{value:.3g} {unit}", f"<= {budget:g} {unit}", held, note))

    def micro(self) -> None:
        rounds = 15 if self.quick else 41
        self.tell("hops, borders, chunks, flows")
        found = {name: measure(rounds) for name, measure in micro.MICRO.items()}
        self.ratios |= {name: figure.ratio for name, figure in found.items()}
        self.at_most("fused hop", found["hop"].us, "µs", 0.5, f"{found['hop'].ratio:.1f} x an empty Python call")
        note = f"{found['border'].ratio:.0f} x deque append + popleft"
        self.at_most("border hop, same process", found["border"].us, "µs", 5, note)
        note = f"{found['chunk'].ratio:.1f} x a tuple"
        self.rows.append(Row("making a chunk", f"{found['chunk'].us * 1000:.0f} ns", note=note))
        start, close = micro.flow_start(2 if self.quick else 5)
        self.at_most("starting a flow", start, "ms", 1, "graphs/record.yaml, its file opened")
        self.rows.append(Row("closing a flow", f"{close:.3g} ms", note="its file finished; CPU, not the disk's time"))
        self.figures["micro"] = {name: figure.us for name, figure in found.items()}
        self.figures["micro"] |= {"flow_start_ms": start, "flow_close_ms": close}

    def cost(self) -> None:
        rounds, seconds = (1, 4.0) if self.quick else (3, 5.0)
        for count in (calls.FEW, calls.HALF):
            done: Any = None
            for done in calls.cost(count, rounds, seconds):
                if isinstance(done, str):
                    self.tell(done)
            self._cost(count, done, rounds)

    def _cost(self, count: int, cost: calls.Cost, rounds: int) -> None:
        self.figures.setdefault("cost_us", {})[count] = cost.us
        self.figures.setdefault("cost_ratio", {})[count] = cost.ratio
        late = f"generator late in {cost.late} trials" if cost.late else ""
        at = "; ".join(part for part in (late, *cost.losses) if part)
        name = "receive → reorder → decode → WAV, a message"
        bare = Row(
            f"{count} calls: bare socket reader, a message", f"{cost.us['bare']:.3g} µs", note="uvloop, counts bytes"
        )
        self.rows.append(bare)
        if count == calls.FEW:
            self.ratios |= {"record": cost.ratio["record"], "record_16k": cost.ratio["record_16k"]}
            text = f"{cost.us['record']:.3g} µs, {cost.ratio['record']:.3g} x"
            self.rows.append(Row(f"  {name}", text, note=at))
            text = f"{cost.us['record_16k']:.3g} µs, {cost.ratio['record_16k']:.3g} x"
            self.rows.append(Row("  with resampling to 16 kHz", text))
            return
        doubt = cost.late > rounds
        self.at_most(f"  {name}", cost.us["record"], "µs", 12, at, doubt)
        self.at_most("  the same, in bare readers", cost.ratio["record"], "x", 2, "median of rounds", doubt)
        self.at_most("  with resampling to 16 kHz", cost.us["record_16k"], "µs", 18, "", doubt)

    def metrics(self) -> None:
        """What metrics and traces cost; the calls are shorter than usual, which makes a trace dearer than it is."""
        done: Any = None
        for done in metrics_cost(calls.FEW // 2, 2 if self.quick else 5, 15.0 if self.quick else 30.0):
            if isinstance(done, str):
                self.tell(done)
        assert isinstance(done, Costs)
        doubt = f"generator late in {done.late} of {done.rounds} rounds" if done.late else ""
        self.rows.append(
            Row(f"{calls.FEW // 2} calls, four runs at once: a message", f"{done.us[BARE]:.3g} µs", note=doubt)
        )
        for kind, more in done.more.items():
            note = f"of the record path; the admin process {done.admin_us[kind] - done.admin_us[BARE]:.2g} µs a message"
            self.at_most(f"  {kind}", more * 100, "%", 1.0, note)
        self.figures["metrics"] = {"us": done.us, "admin_us": done.admin_us, "more": done.more, "late": done.late}

    def paced(self) -> None:
        seconds = 3.0 if self.quick else 5.0
        found = {}
        for count in (50, 200) if self.quick else (50, 200, 500, 1000):
            self.tell(f"paced load: {count} calls")
            done = calls.receive(calls.RECORD, count, seconds, probe=True, together=True)
            wrong = "; ".join(done.losses()) or "nothing lost"
            if not done.in_time:  # stamps are made when a message is really sent, so latency is right all the same
                wrong += f"; the generator was late, {_late(done)}"
            p50, p99 = done.age_ms(0.5), done.age_ms(0.99)
            text = f"{done.us_per_message:.3g} µs a message, {done.cpu:.0%} of a core, latency {p50:.0f}/{p99:.0f} ms"
            row = Row(f"{count} calls", text, "", None, wrong)
            self.rows.append(row)
            found[count] = {
                "us_per_message": done.us_per_message,
                "cpu": done.cpu,
                "p50_ms": p50,
                "p99_ms": p99,
                "resident": done.resident,
                "losses": done.losses(),
                "in_time": done.in_time,
                "late_p99_ms": done.load["lag_p99_ms"],
                "late_most_ms": done.load["lag_max_ms"],
            }
        self.figures["paced"] = found
        counts = sorted(found)
        few, many = counts[0], counts[-1]
        slope = (found[many]["resident"] - found[few]["resident"]) / (many - few) / 1024
        note = f"{few} to {many} calls"
        self.at_most("memory of a call", slope, "KiB", 200, note, not found[many]["in_time"])
        self.tell("memory of a call that is resampled")
        small, large = (calls.receive(calls.RECORD_16K, n, seconds, probe=False, together=True) for n in (50, 200))
        slope = (large.resident - small.resident) / 150 / 1024
        self.at_most("  with resampling to 16 kHz", slope, "KiB", 200, "50 to 200 calls", not large.in_time)
        self.figures["memory_16k_kib"] = slope

    def capacity(self) -> None:
        search = calls.capacity(3.0 if self.quick else 5.0, 200 if self.quick else 400, self.tell)
        unknown = (
            search.why == calls.GENERATOR_LATE and search.held < 800
        )  # at least so many, and the machine cannot say more
        held = None if unknown else search.held >= 800
        why = f"{search.failed}: {search.why}" if search.failed else "the search's limit"
        self.rows.append(Row("calls held by one core, recording", f"{search.held}", ">= 800", held, why))
        self.figures["capacity"] = {"held": search.held, "failed": search.failed, "why": search.why}
        if not search.held:
            return
        half = max(1, search.held // 2)
        self.tell(f"latency at {half} calls")
        done = calls.receive(calls.RECORD, half, 4.0 if self.quick else 8.0, probe=True, together=True)
        note = f"{half} calls, p50 {done.age_ms(0.5):.0f} ms"
        self.at_most(
            "added latency p99, socket → node", done.age_ms(0.99), "ms", calls.LATENCY_MS, note, not done.in_time
        )
        self._stages(half)
        self.figures["latency"] = {"calls": half, "p50_ms": done.age_ms(0.5), "p99_ms": done.age_ms(0.99)}

    def _stages(self, count: int) -> None:
        """Where the time between a sender and the file goes."""
        self.tell(f"latency by stage at {count} calls")
        seconds = 4.0 if self.quick else 8.0
        done = calls.receive_by_stage(count, seconds, together=True)
        p50, p99 = calls.stages_ms(done, 0.5), calls.stages_ms(done, 0.99)
        for stage, about in STAGES.items():
            if stage in p50:
                self.rows.append(Row(f"  {stage}", f"{p50[stage]:.3g} ms, p99 {p99[stage]:.3g} ms", note=about))
        if not done.in_time:
            self.rows.append(Row("  (the generator was late)", _late(done)))
        self.figures["stages"] = {"calls": count, "p50_ms": p50, "p99_ms": p99, "late_p99_ms": done.load["lag_p99_ms"]}

    def estimate(self) -> None:
        """How near "calls until full" comes, at a quarter and at half of what a core really holds."""
        seconds = 5.0 if self.quick else 10.0
        held = self.figures.get("capacity", {}).get("held")
        if not held:
            held = calls.capacity(3.0 if self.quick else 5.0, 200 if self.quick else 400, self.tell).held
        self._estimate(
            "recorded", held, lambda count: calls.receive(calls.RECORD, count, seconds, probe=False, together=True)
        )

    def speech(self) -> None:
        """The same for the transcription of all words."""
        seconds = 30.0 if self.quick else 60.0
        held = calls.speech_capacity(seconds, self.tell).held
        self.rows.append(Row("calls transcribed by one core", f"{held}", note="no word waits for more than 3 s"))
        self._estimate("transcribed", held, lambda count: calls.transcribe(count, seconds))

    def _estimate(self, what: str, held: int, run: Callable[[int], Outcome]) -> None:
        found = {}
        for share in (0.25, 0.5) if held else ():
            count = max(1, round(held * share))
            self.tell(f"calls until full, estimated at {count} calls")
            done = run(count)
            found[count] = done.capacity
            error = abs(done.capacity / held - 1)
            where = f"calls until full, estimated at {share:.0%} of {held} calls, {what}"
            self.at_most(where, error * 100, "% off", 30, f"{count} calls and {done.capacity - count:.0f} more")
        self.figures.setdefault("estimate", {})[what] = {"held": held, "estimated": found}

    def grpc(self) -> None:
        """Both transports side by side: what a second of one call's audio costs, as their messages differ in length."""
        count, seconds = calls.FEW, 4.0 if self.quick else 8.0
        trials = {
            "WebSocket, 20 ms messages": lambda: calls.receive(
                calls.RECORD, count, seconds, probe=True, together=False
            ),
            "gRPC, 100 ms messages": lambda: calls.over_grpc(count, seconds),
        }
        for name, run in trials.items():
            self.tell(f"{count} calls: {name}")
            done = run()
            cost = done.cpu / count * 1e6
            wrong = "; ".join(done.losses()) or "nothing lost"
            if not done.in_time:
                wrong += f"; the generator was late, {_late(done)}"
            text = f"{cost:.0f} µs, {done.cpu:.0%} of a core"
            held = None if not done.in_time else not done.losses() and done.cpu < 1
            note = f"latency {done.age_ms(0.5):.0f}/{done.age_ms(0.99):.0f} ms; {wrong}"
            self.rows.append(Row(f"a second of a call, {name}", text, f"{count} calls held", held, note))
            figures = {"us_per_call_second": cost, "cpu": done.cpu, "p99_ms": done.age_ms(0.99)}
            self.figures.setdefault("grpc", {})[name] = figures | {"losses": done.losses(), "in_time": done.in_time}

    def growth(self) -> None:
        self.tell("growth with nodes and with the length of a call")
        by_nodes = micro.nodes(5 if self.quick else 15)
        hop = (by_nodes[20] - by_nodes[0]) / 20
        bend = (by_nodes[20] - by_nodes[10]) / (by_nodes[10] - by_nodes[0])
        note = f"0 to 20 nodes; the second ten cost {bend:.2f} x the first"
        self.rows.append(Row("a further node, a chunk", f"{hop:.3g} µs", note=note))
        tenths = micro.length(10 if self.quick else 60)
        late, early = median(tenths[-3:]), median(tenths[1:4])
        note = f"in process, {early:.2f} µs at first, {late:.2f} µs at last"
        self.rows.append(
            Row("a long call: last third / first", f"{late / early:.2f} x", "<= 1.1 x", late / early <= 1.1, note)
        )
        self.figures["growth"] = {"nodes_us": by_nodes, "length_us": tenths}


def _late(done: Outcome) -> str:
    return f"{done.load['lag_p99_ms']:.0f} ms at p99, {done.load['lag_max_ms']:.0f} at most"


def gate(bench: Bench) -> int:
    """Compare ratios; what looks worse is measured again, because noise only ever adds."""
    expected: dict[str, float] = json.loads(EXPECTED.read_text())
    worse = 0
    for name, ratio in bench.ratios.items():
        limit = expected[name] * TOLERANCE
        for _ in range(TRIES - 1):
            if ratio <= limit:
                break
            bench.tell(f"{name} looks worse: once more")
            ratio = min(ratio, again(name))
        fine = ratio <= limit
        worse += not fine
        word = "fine" if fine else "WORSE"
        bench.console.print(f"{word}: {name} is {ratio:.2f} x its yardstick, expected {expected[name]:.2f}")
    return worse


def again(name: str) -> float:
    """One more measurement of one ratio."""
    if name in micro.MICRO:
        return micro.MICRO[name](41).ratio
    *_, cost = calls.cost(calls.FEW, 1, 5.0)
    assert isinstance(cost, calls.Cost)
    return cost.ratio[name]


def table(bench: Bench, about: dict[str, Any]) -> Table:
    """All rows, under a description of the machine."""
    title = "{processor}, {cores} cores, {memory_gib} GiB, {system}, Python {python}, flowcore {commit}, {date}"
    shown = Table(title=title.format(**about), title_style="", title_justify="left", caption_justify="left")
    for column in ("what", "measured", "budget", "", "note"):
        shown.add_column(column, no_wrap=column in ("measured", "budget"))
    for row in bench.rows:
        word = "" if row.held is None and not row.budget else {True: "✓", False: "✗", None: "?"}[row.held]
        colour = {True: "green", False: "bold red", None: ""}[row.held]
        shown.add_row(row.what, row.measured, row.budget, word, row.note, style=colour if row.held is False else "")
    shown.caption = f"other programs took {about['others']:.0%} of a core meanwhile"
    return shown


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="One figure for each budget.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all when none is named")
    parser.add_argument("--quick", action="store_true", help="shorter and rougher: under 90 seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--gate", action="store_true", help="exit 1 when a ratio is a fifth above the expected one")
    parser.add_argument("--expect", action="store_true", help="make this run's ratios the expected ones")
    options = parser.parse_args()
    known = (*PARTS, *SLOW_PARTS)
    if unknown := set(options.parts) - set(known):
        parser.error(f"there is no part {', '.join(sorted(unknown))}: choose from {', '.join(known)}")
    bench = Bench(options.quick, Console(highlight=False, width=None if sys.stdout.isatty() else 160))
    about = machine.describe()
    began, busy, own = time.monotonic(), machine.busy(), sum(os.times()[:4])
    for part in known:
        if part in (options.parts or PARTS):
            getattr(bench, part)()
    own = sum(os.times()[:4]) - own
    about["seconds"] = round(time.monotonic() - began, 1)
    about["others"] = round(max(0.0, machine.busy() - busy - own) / about["seconds"], 3)
    bench.console.print(table(bench, about))
    if options.json:
        rows = [vars(row) for row in bench.rows]
        whole = {"machine": about, "rows": rows, "figures": bench.figures, "ratios": bench.ratios}
        options.json.write_text(json.dumps(whole, indent=2) + "\n")
    if options.expect:
        ratios = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
        ratios |= {name: round(ratio, 2) for name, ratio in bench.ratios.items()}
        EXPECTED.write_text(json.dumps(ratios, indent=2) + "\n")
    return 1 if options.gate and gate(bench) else 0


if __name__ == "__main__":
    sys.exit(main())
