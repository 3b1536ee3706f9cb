"""``flowcore reload``: let a running flowcore read its graph again."""

from __future__ import annotations

import typer

from flowcore.cli.options import Control
from flowcore.cli.show import show_error, show_problems
from flowcore.control import all_calls, only_running, reload_run, running


def reload(control: Control = None) -> None:
    """Let a running flowcore read its graph and certificates again.

    New calls get the new version of the graph; running calls finish with theirs. A wrong graph changes nothing: its
    problems are shown as `flowcore check` shows them. What a reload cannot change, such as the port, is named.

    Exit code: 0 done, 1 the new version could not be started, 2 the graph is wrong, no process is running, or several
    are and --control is missing.
    """
    path = control or only_running(running())
    answer = reload_run(path)
    if "problems" in answer:
        show_problems(answer["problems"])
        raise typer.Exit(2)
    if "error" in answer:
        show_error(answer["error"])
        raise typer.Exit(1)
    change = "new calls get version" if answer["changed"] else "the graph has not changed: version"
    older = sum(call["version"] != answer["version"] for call in all_calls(path)[0])
    typer.echo(f"{change} {answer['version']}{f'; {older} running on older ones' if older else ''}")
