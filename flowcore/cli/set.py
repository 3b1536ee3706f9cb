"""``flowcore set``: change live fields of running calls."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from flowcore.cli.options import Control
from flowcore.cli.show import show_error, show_problems
from flowcore.control import WrongSettings, only_running, running, set_of_all, set_of_call
from flowcore.control.errors import without_answer
from flowcore.diagnostics import counted

ALL: Final = "all"


def set_fields(
    call: Annotated[
        str,
        typer.Argument(metavar="CALL|all", help="Any id of the call, its beginning, a phone number, newest, or all."),
    ],
    settings: Annotated[
        list[str],
        typer.Argument(metavar="NODE.KEY=VALUE", help="Values of live fields, as those of flowcore run --set."),
    ],
    control: Control = None,
) -> None:
    """Change live fields of running calls.

    `flowcore nodes NAME` shows which fields of a node are live, such as volume. The nodes of the call take the new
    values between two chunks, within a slot. With all, new calls get them too, until the next reload.

    Exit code: 0 done, or it was so already; 1 some calls did not take it; 2 a value is wrong, a field is not live, no
    such call, several match, no process is running, or several are and --control is missing.
    """
    path = control or only_running(running())
    try:
        if call != ALL:
            done = set_of_call(path, call, settings)
            typer.echo(f"{done['flow']} took it" if done["changed"] else "it was so already")
            return
        done = set_of_all(path, settings)
    except WrongSettings as error:
        show_problems(error.problems)
        raise typer.Exit(2) from None
    typer.echo(f"{_calls(done)}; new calls get it until the next reload")
    for flow, problems in done["refused"].items():
        show_error(f"{flow} did not take it: {problems[0].partition(chr(10))[0]}")
    if done["missing"]:
        show_error(f"some calls may not have taken it{without_answer(done['missing'])}")
    if done["refused"] or done["missing"]:
        raise typer.Exit(1)


def _calls(done: dict[str, Any]) -> str:
    same = f", {len(done['same'])} had it already" if done["same"] else ""
    return f"{counted(len(done['took']), 'call')} took it{same}"
