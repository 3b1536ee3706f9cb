"""Live data: what `flowcore top` and the dashboard show of a run and of its calls."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from flowcore.admin.calls import Call, CallId, Engine, ask, find_call
from flowcore.admin.problems import ApiError, responses
from flowcore.control.live_query import MAX_CALLS, MAX_EVENTS, MAX_MATCH, MAX_OFFSET, LiveQuery, Sort
from flowcore.graph.model import OnFull

router = APIRouter(prefix="/v1/live", tags=["live"])


class Open(BaseModel):
    """A part of an answer; further fields may come."""

    model_config = ConfigDict(extra="allow")


class Amount(Open):
    """Chunks, and their length."""

    chunks: int = Field(description="Number of chunks.")
    ms: float = Field(description="Length in milliseconds; 0 for texts.")


class Queue(Open):
    """The queue before a node of a call."""

    node: str = Field(description="The node behind it.")
    ms: int = Field(description="Audio that waits, in milliseconds.")
    limit_ms: int = Field(description="Its bound, in milliseconds.")
    fullness: float = Field(description="Used fraction of its bound.")


class NodeQueue(Queue):
    """The queue before a node of a call, with the waits in it."""

    on_full: OnFull = Field(description="What happens when it is full.")
    latest_wait_ms: float = Field(description="How long the latest chunk waited, or waits by now.")
    mean_wait_ms: float = Field(description="How long a chunk waited on average.")
    longest_wait_ms: float = Field(description="How long a chunk waited at most.")


class QueueSum(Open):
    """The queues before a node, of all calls."""

    ms: int = Field(description="Audio that waits in all of them, in milliseconds.")
    worst_ms: int = Field(description="Audio that waits in the longest one.")
    limit_ms: int = Field(description="Bound of each, in milliseconds.")
    on_full: OnFull = Field(description="What happens when one is full.")


class LiveRow(Call):
    """A live call, as a row of a table."""

    age_s: float = Field(description="Seconds since its start.")
    version: str = Field(description="Number and checksum of its version of the graph.", examples=["2-3fa9c1d2"])
    parties: list[str] = Field(description="Parties that have sent audio.")
    paused: bool = Field(description="Whether an operator silenced the whole call.")
    muted: list[str] = Field(description="Parties that an operator silenced.")
    on_hold: bool = Field(description="Whether no party has sent anything for 2 seconds or more.")
    levels: dict[str, float | None] = Field(
        description="Level of each party in dB full scale, over the last half second; null while it is silent, and in "
        "the first answer after a time in which nobody asked."
    )
    lost_recent_ms: int = Field(description="Audio lost in the last 10 seconds, or since the first request.")
    lost: dict[str, dict[str, Amount]] = Field(description="Audio lost so far, by node and reason.")
    worst_queue: Queue | None = Field(description="Its fullest queue; null if it has none.")
    latency_ms: float = Field(description="How long the latest chunk waited in the slowest queue.")
    delay_ms: int = Field(description="How long a chunk waited in a queue at most.")
    failed: list[str] = Field(description="Nodes that failed.")


class Run(Open):
    """The run as a whole. Counters are those since its start."""

    graph: str = Field(description="Path of the graph file.")
    flowcore: str = Field(description="Version of flowcore.")
    version: str = Field(description="Version of the graph that new calls get.")
    draining: bool = Field(description="Whether it takes no more calls.")
    calls: int = Field(description="Live calls.")
    limit: int = Field(description="Live calls that it takes at most.")
    versions: dict[str, int] = Field(description="Live calls by version of the graph.")
    started: int = Field(description="Calls that were accepted.")
    ended: int = Field(description="Calls that have ended.")
    failed: int = Field(description="Ended calls in which a node failed, or whose worker died.")
    refused: int = Field(description="Calls that were turned away.")
    lost_ms: int = Field(description="Audio lost by ended and live calls, in milliseconds.")


class Process(Open):
    """A process that takes calls."""

    worker: int = Field(description="Its number.")
    pid: int = Field(description="Its process id.")
    calls: int = Field(description="Its live calls.")
    version: str = Field(description="Version of the graph that its new calls get.")
    not_ready: str = Field(description="Why it would take no call now, in one word; empty if it would.")
    cpu: float | None = Field(description="Cores that it has used since the request before; null at first.")
    cpu_s: float = Field(description="Processor time that it has used, in seconds.")
    slot_ms: float = Field(description="Present length of a slot of its event loop.")
    slot_busy_ms: float | None = Field(description="Mean work in a slot since the request before; null at first.")


class Counters(Open):
    """A node, with its counters."""

    name: str = Field(description="Name in the graph.")
    use: str = Field(description="Type of node.")
    inputs: list[str] = Field(description="Its inputs, written as in a graph.")
    chain: int = Field(description="Number of its chain, from 0.")
    entered: Amount = Field(alias="in", description="What came to it.")
    out: Amount = Field(description="What it passed on.")
    dropped: dict[str, Amount] = Field(description="What it dropped, by reason, lost or not.")
    filled: dict[str, Amount] = Field(description="What it filled in, by reason.")
    lost_ms: int = Field(description="Audio that was lost at it.")
    busy_ms: float = Field(description="Time spent in the node itself, estimated from samples.")


class NodeSum(Counters):
    """A node of the run: the sums over its calls."""

    queue: QueueSum | None = Field(description="The queues before it; null if there are none.")


class LiveNode(Counters):
    """A node of one call."""

    state: Literal["ok", "failed", "restarting"] = Field(description="Whether it works.")
    error: str = Field(description="Why it does not; empty if it does.")
    queue: NodeQueue | None = Field(description="The queue before it; null if there is none.")


class Live(Open):
    """A page of the live calls, and the figures of the run."""

    at: float = Field(description="Monotonic seconds: the difference of two answers makes rates of counters.")
    run: Run
    processes: list[Process]
    missing: list[int] = Field(description="Workers that did not answer within 2 seconds: their calls are not listed.")
    matched: int = Field(description="Live calls that match.")
    calls: list[LiveRow] = Field(description="The page of them, sorted.")
    nodes: list[NodeSum] = Field(description="Sums by node over live and ended calls, if asked for.")
    events: list[dict[str, Any]] = Field(description="The latest events, if asked for, the oldest first.")


class Stretch(Open):
    """A part of a call."""

    track: str = Field(description="The party; empty for all.")
    start: float = Field(description="Second of the call at which it begins.")
    end: float = Field(description="Second at which it ends.")


class Gap(Stretch):
    """A part of a call in which audio is missing."""

    ms: float = Field(description="How much is missing, in milliseconds.")
    node: str = Field(description="The node that noticed it.")
    reason: str = Field(description="Why.")
    lost: bool = Field(description="Whether it counts as lost.")


class Timeline(Open):
    """What happened when in a call, in seconds of the call: the latest 500 of each kind."""

    until_s: float = Field(description="Now.")
    gaps: list[Gap]
    holds: list[Stretch] = Field(description="Pauses that ended, in which no audio came.")
    silenced: list[Stretch] = Field(description="What an operator paused or muted.")
    talk: list[Stretch] = Field(description="Where a party was louder than -45 dB full scale.")
    talk_since_s: float | None = Field(
        description="Talk is looked for while somebody asks for the call: before this second nothing is known of it."
    )


class LiveCall(Open):
    """All that is known of one live call."""

    at: float = Field(description="Monotonic seconds: the difference of two answers makes rates of counters.")
    call: LiveRow
    nodes: list[LiveNode] = Field(description="Its nodes in the order of the graph, the listener first.")
    timeline: Timeline
    files: list[str] = Field(description="Finished files, the last 10 at most.")
    events: list[dict[str, Any]] = Field(description="Its latest events, 50 at most, the oldest first.")


class Page(BaseModel):
    """Which calls to show, and what beside them."""

    sort: Sort = Field("trouble", description="The order; `trouble`: failed nodes, losses and full queues first.")
    limit: int = Field(50, ge=1, le=MAX_CALLS, description="Calls on a page.")
    offset: int = Field(0, ge=0, le=MAX_OFFSET, description="Calls before the page.")
    match: str = Field(
        "", max_length=MAX_MATCH, description="Only calls with an id or a phone number that contains this."
    )
    levels: bool = Field(True, description="Measure the levels of the calls on the page.")
    nodes: bool = Field(False, description="Add the sums by node.")
    events: int = Field(0, ge=0, le=MAX_EVENTS, description="So many of the latest events of each process.")


@router.get("", summary="Show the run and its calls as they are now")
async def live(engine: Engine, page: Annotated[Page, Query()]) -> Live:
    """Return a page of the live calls, and figures of the run and its processes. Ask once a second for a live view.

    Nothing is measured for it while nobody asks.
    """
    answers, _ = await ask(engine, LiveQuery(**page.model_dump()).request())
    return Live.model_validate(answers[0])


@router.get(
    "/{call}", summary="Show all of a live call", responses=responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
)
async def live_call(call: CallId, engine: Engine) -> LiveCall:
    """Return the nodes of a live call with their counters and queues, and its timeline."""
    flow = (await find_call(engine, call))["flow"]
    answers, _ = await ask(engine, {"ask": "live_call", "flow": flow})
    if answers[0] is None:
        raise ApiError(HTTPStatus.NOT_FOUND, f"the call {call!r} has just ended")
    return LiveCall.model_validate(answers[0])
