"""Changes of live fields in the running flows of an engine, and for its new ones."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from flowcore.engine.engine import Engine
from flowcore.engine.flow import Flow
from flowcore.errors import GraphError
from flowcore.graph.live_settings import with_settings
from flowcore.graph.plan import Plan

Made = dict[int, tuple[Plan, Plan | list[str]]]
"""Plans by their identity, each with the changed one, or with its problems."""


class LiveConfig:
    """Answers requests to set live fields, one after the other. Each plan is made once for all flows that have it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._alone = asyncio.Lock()

    async def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Set ``settings`` in the flows of a call, or in all, where new flows of the current version get them too.

        Returns the flows that ``took`` it, those that had it before (``same``), and the problems of the others
        (``refused``): their version of the graph has no such node, for example.
        """
        settings = request["settings"]
        made: Made = {}  # by the identity of the plan before, which it keeps
        async with self._alone:
            while missing := {id(plan): plan for plan in self._plans(request) if id(plan) not in made}:
                # A flow that begins meanwhile, or a reload, may have another plan.
                made |= await asyncio.to_thread(_changed, missing, settings)
            return self._change(request, made)

    def _flows(self, request: Mapping[str, Any]) -> list[Flow]:
        call_id, flow_id = request.get("call_id"), request.get("flow")
        return [
            flow
            for flow in self._engine.flows.values()
            if not flow.ended and (request.get("all") or (flow.call_id == call_id if call_id else flow.id == flow_id))
        ]

    def _plans(self, request: Mapping[str, Any]) -> list[Plan]:
        of_new = [self._engine.plan] if request.get("all") else []
        return [*of_new, *(flow.plan for flow in self._flows(request))]

    def _change(self, request: Mapping[str, Any], made: Made) -> dict[str, Any]:
        took: list[str] = []
        same: list[str] = []
        refused: dict[str, list[str]] = {}
        fields: dict[str, None] = {}
        for flow in self._flows(request):
            _, plan = made[id(flow.plan)]
            if isinstance(plan, list):
                refused[flow.id] = plan
            elif changed := flow.change(plan):
                took.append(flow.id)
                fields |= dict.fromkeys(changed)
            else:
                same.append(flow.id)
        if request.get("all"):
            _, plan = made[id(self._engine.plan)]
            if not isinstance(plan, list):
                self._engine.change_plan(plan)
        self._report(request, took, list(fields))
        return {"took": took, "same": same, "refused": refused}

    def _report(self, request: Mapping[str, Any], took: Sequence[str], fields: Sequence[str]) -> None:
        if not took:
            return
        flow = took[0] if len(took) == 1 and not request.get("all") else ""
        self._engine.bus.emit(
            "fields_changed", flow, fields=fields, flows=len(took), new_flows=bool(request.get("all"))
        )


def _changed(plans: Mapping[int, Plan], settings: Sequence[str]) -> Made:
    """Return each plan with its changed one, or with the problems that it has with these settings."""
    return {key: (plan, _with_settings(plan, settings)) for key, plan in plans.items()}


def _with_settings(plan: Plan, settings: Sequence[str]) -> Plan | list[str]:
    try:
        return with_settings(plan, settings)
    except GraphError as error:
        return [str(problem) for problem in error.problems]
