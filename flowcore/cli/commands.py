"""The commands by name. A command is imported only when it is used: `check` must not wait for the imports of `run`.

Other packages add commands with entry points of the group ``flowcore.commands``, each a function or a `typer.Typer`,
so that commands for a vendor stay out of this package. They cannot replace a command of `COMMANDS`.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from flowcore.errors import BrokenImport

GROUP = "flowcore.commands"

_NAMES = """
    run top calls call set perfetto reload upgrade drain metrics
    check explain graph nodes events schema new test simulate replay recover bench
"""
_FUNCTIONS = {"test": "run_tests", "set": "set_fields"}
"""Functions that cannot have the name of their command."""
COMMANDS = {
    name: EntryPoint(name, f"flowcore.cli.{name}:{_FUNCTIONS.get(name, name)}", GROUP) for name in _NAMES.split()
}
"""The commands of flowcore, in the order of --help; each module holds a function or `typer.Typer` for it."""


class Commands(TyperGroup):
    """List `COMMANDS`, then the commands of other packages; --help imports every command."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = dict.fromkeys(COMMANDS, self)  # their names, for "did you mean"
        self._brought: dict[str, EntryPoint] | None = None

    def list_commands(self, ctx: Any) -> list[str]:
        return [*COMMANDS, *self._others()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        point = COMMANDS.get(cmd_name) or self._others().get(cmd_name)
        if point is None:
            return None
        found = point.load() if cmd_name in COMMANDS else _loaded(point)
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

    def _others(self) -> dict[str, EntryPoint]:
        """Return the commands of other packages, looked up only when `COMMANDS` lacks a name."""
        if self._brought is None:
            self._brought = {point.name: point for point in entry_points(group=GROUP) if point.name not in COMMANDS}
            self.commands.update(dict.fromkeys(self._brought, self))
        return self._brought


def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except (Exception, SystemExit) as error:  # a broken module must not hide the other commands from --help
        broken = BrokenImport(point.value, error)

    def cannot() -> None:
        raise broken

    cannot.__doc__ = f"Cannot be used: {broken}"
    return cannot
