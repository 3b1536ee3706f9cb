"""The commands by name. The file of one is loaded when it is asked for: `check` must not wait for what `run` needs.

Other packages bring commands of their own with entry points of the group ``flowcore.commands``, each a function or a
`typer.Typer`: so what belongs to a vendor stays out of this package. A name that is in `COMMANDS` stays ours.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from flowcore.errors import BrokenImport

GROUP = "flowcore.commands"

COMMANDS = {
    name: EntryPoint(name, f"flowcore.cli.{name}:{'run_tests' if name == 'test' else name}", GROUP)
    for name in (
        "run",
        "calls",
        "check",
        "explain",
        "graph",
        "nodes",
        "events",
        "schema",
        "new",
        "test",
        "simulate",
        "recover",
        "bench",
    )
}
"""Our own, in the order of --help; each module holds a function or a `typer.Typer` of the command's name."""


class Commands(TyperGroup):
    """All of `COMMANDS`, then those of other packages; asking for help loads them all."""

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
        """The commands of other packages, looked for only when ours will not do."""
        if self._brought is None:
            self._brought = {point.name: point for point in entry_points(group=GROUP) if point.name not in COMMANDS}
            self.commands.update(dict.fromkeys(self._brought, self))
        return self._brought


def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except (Exception, SystemExit) as error:  # whatever somebody's module does, --help lists the other commands
        broken = BrokenImport(point.value, error)

    def cannot() -> None:
        raise broken

    cannot.__doc__ = f"Cannot be used: {broken}"
    return cannot
