"""The command ``flowcore``: one file per command.

Exit codes: 0 done, 1 a flow failed, 2 the graph or the command line is wrong. The first line of an error on standard
error says what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer

from flowcore.cli.bench import bench
from flowcore.cli.calls import calls
from flowcore.cli.check import check
from flowcore.cli.explain import explain
from flowcore.cli.graph import graph
from flowcore.cli.new import new
from flowcore.cli.nodes import nodes
from flowcore.cli.run import run
from flowcore.cli.schema import schema
from flowcore.cli.show import show_error, show_problems
from flowcore.cli.simulate import simulate
from flowcore.cli.test import run_tests
from flowcore.errors import FlowcoreError, GraphError, MissingExtra, UsageError

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,  # a traceback is for a mistake in code, and plain ones can be searched for
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (run, calls, check, explain, graph, nodes, schema, simulate, bench):
    app.command()(command)
app.command("test")(run_tests)
app.add_typer(new, name="new")

# What typer raises for a wrong command line; it moved from click into typer, and has no public name there.
_WrongUsage: Any = typer.BadParameter.__base__


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"flowcore {version('flowcore')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _flowcore(
    context: typer.Context,
    asked: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """Run dataflow graphs over live call audio.

    A graph is a YAML file. `flowcore nodes` lists what it can use.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; ``arguments`` are those of the process by default."""
    try:
        code = app(args=arguments, prog_name="flowcore", standalone_mode=False)
    except _WrongUsage as error:
        show_error(f"{error.format_message()}\nsee  {error.ctx.command_path if error.ctx else 'flowcore'} --help")
        code = 2
    except GraphError as error:
        show_problems(error.problems)
        code = 2
    except FlowcoreError as error:
        show_error(str(error))
        code = 2 if isinstance(error, UsageError | MissingExtra) else 1
    raise SystemExit(code or 0)
