"""Chains: nodes fused into one call path. A chunk passes a chain in one go, without a queue or a thread switch.

A `flowcore.engine.node_run.Hop` leads from one node to the next. The chain opens, flushes and closes its nodes.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field
from time import monotonic

from flowcore.engine.border import EMPTY, END, Border
from flowcore.engine.node_run import FlowContext, NodeRun, Put, no_op
from flowcore.engine.pool import Pool, Strand


@dataclass(slots=True, eq=False)
class Chain:
    """Fused nodes of one flow, in topological order, with the border before them (none: the listener's chain)."""

    index: int
    owner: FlowContext
    pool: InitVar[Pool]
    border: Border | None
    runs: list[NodeRun] = field(default_factory=list)
    next_borders: list[Border] = field(default_factory=list)
    entry: Put = no_op
    """The first node's hop, set by the flow."""
    inner: float = 0.0
    done: bool = False
    given_up: bool = False
    strand: Strand = field(init=False)
    blocked: set[Border] = field(default_factory=set)
    """Full borders after this chain, on whose behalf it takes no input."""
    _opened: bool = False
    _woken: bool = False
    _ends: int = 0
    _step: int = 0  # of `finish`: twice the number of the node, plus 1 once that node is flushed
    _flushing: bool = False

    def __post_init__(self, pool: Pool) -> None:
        self.strand = Strand(pool, self, self.border.name if self.border is not None else "")
        if self.border is not None:
            self.border.consumer_ready = self.strand.ready

    def block(self, border: Border) -> None:
        self.blocked.add(border)

    def unblock(self, border: Border) -> None:
        self.blocked.discard(border)
        if self.border is not None:
            self.strand.ready()

    def wake(self) -> None:
        """Collect results of the nodes soon. From any thread."""
        self._woken = True
        self.strand.ready()
        self.strand.pool.wake()

    def open(self) -> None:
        """Open all nodes, the last one first, so that every node emits to open nodes."""
        self._opened = True
        for run in reversed(self.runs):
            run.open()

    def has_work(self) -> bool:
        if self.done or self.given_up:
            return not self.done
        return self._woken or (self.border is not None and len(self.border) > 0 and not self.blocked)

    def awaits_results(self) -> bool:
        """Whether a thread or process of a node works on a result now."""
        return self._opened and not self.done and any(run.awaits_results() for run in self.runs)

    def work(self) -> None:
        """Do all work that is due. Called by the chain's strand."""
        if self.done or self.given_up:
            if not self.done:
                self.close()
            return
        border = self.border
        if not self._opened and border is not None:
            self.open()
        if self._woken:
            self._collect()
        if border is not None:
            entry = self.entry
            while not self.blocked and not self.given_up:
                chunk = border.get()
                if chunk is EMPTY:
                    break
                if chunk is END:
                    self._ends += 1
                    if self._ends == len(border.producers):
                        self._flushing = True
                        break
                    continue
                self.strand.since = monotonic()
                entry(chunk)
        if self._flushing and not self.given_up:
            self.finish()

    def _collect(self) -> None:
        self._woken = False
        for run in self.runs:
            run.collect()

    def finish(self) -> None:
        """Flush node after node, wait for pending results, then end the next borders and close the nodes."""
        self._flushing = True
        while self._step < len(self.runs) * 2 and not self.given_up:
            run = self.runs[self._step // 2]
            if self._step % 2 == 0:
                run.flush()
            else:
                run.collect()
                if run.busy():
                    return  # `wake` continues here
            self._step += 1
        for run in self.runs:
            run.settle_failure()  # before a sink behind a border asks for all losses
        for border in self.next_borders:
            border.end()
        self.close()

    def give_up(self) -> None:
        """Do no more work but to close the nodes: at once, or when the call that hangs returns."""
        self.given_up = True
        self.strand.ready()

    def close(self) -> None:
        """Close the nodes. Only then is the chain done, because a file is complete only when its node is closed."""
        for run in self.runs:
            run.close()
        self.done = True
        self.owner.chain_finished()

    def release(self) -> None:
        """Drop the references between the chain and its nodes, once it is done."""
        self.runs.clear()
        self.next_borders.clear()
        self.entry = no_op
        self.strand.detach()
        if self.border is not None:
            self.border.release()
