"""The commands by name. The file of one is loaded when it is asked for: `check` must not wait for what `run` needs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

COMMANDS = {
    name: f"flowcore.cli.{name}"
    for name in ("run", "calls", "check", "explain", "graph", "nodes", "schema", "new", "test", "simulate", "bench")
}
"""In the order of --help; each module holds a function or a `typer.Typer` of the command's name, or ``run_tests``."""


class Commands(TyperGroup):
    """All of `COMMANDS`; asking for help loads them all."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = dict.fromkeys(COMMANDS, self)  # their names, for "did you mean"

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(COMMANDS[cmd_name])
        found = getattr(module, "run_tests" if cmd_name == "test" else cmd_name)
        command: Any
        if isinstance(found, typer.Typer):
            found.rich_markup_mode = None
            command = get_group(found)
        else:
            alone = typer.Typer(add_completion=False, rich_markup_mode=None)
            alone.command(cmd_name)(found)
            command = get_command(alone)
        command.name = cmd_name
        return command
