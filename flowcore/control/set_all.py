"""The command to set live fields in all calls of a run: checked once, before any process changes anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from flowcore.control.handler import ControlHandler, ask_all
from flowcore.engine.reloader import Runner
from flowcore.errors import GraphError
from flowcore.graph.live_settings import with_settings
from flowcore.graph.plan import Plan


class SetAll:
    """Answers for the process of the run, whose engines have ``handlers``.

    ``alone`` keeps reloads out meanwhile; ``on_plan`` is called with the plan that new sessions get.
    """

    def __init__(
        self,
        runner: Runner,
        handlers: Mapping[int, ControlHandler],
        alone: asyncio.Lock,
        on_plan: Callable[[Plan], None] = lambda plan: None,
    ) -> None:
        self._runner = runner
        self._handlers = handlers
        self._alone = alone
        self._on_plan = on_plan

    async def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Set ``settings`` in all running flows, and in new ones until the next reload.

        Returns ``took``, ``same`` and ``refused`` of all workers, as `flowcore.control.live_config.LiveConfig` does,
        and the ``missing`` workers; or the ``problems`` of the settings, and changes nothing.
        """
        settings = request["settings"]
        async with self._alone:
            try:
                plan = await asyncio.to_thread(with_settings, self._runner.plan, settings)
            except GraphError as error:
                return {"problems": [str(problem) for problem in error.problems]}
            answers, missing = await ask_all(
                dict(self._handlers), {"ask": "set_fields", "all": True, "settings": settings}
            )
            if self._runner.plan.sha256 != plan.sha256:  # in a single process its engine has changed it
                self._runner.change_plan(plan)
            self._on_plan(plan)
        return {**merged(answers), "missing": missing}


def merged(answers: Mapping[int, Any]) -> dict[str, Any]:
    """Return the answers of all workers as one."""
    return {
        "took": [flow for answer in answers.values() for flow in answer["took"]],
        "same": [flow for answer in answers.values() for flow in answer["same"]],
        "refused": {flow: problems for answer in answers.values() for flow, problems in answer["refused"].items()},
    }
