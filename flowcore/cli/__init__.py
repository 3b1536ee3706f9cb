"""The command ``flowcore``: one module per command.

Exit codes: 0 done, 1 a flow failed, 2 the graph or the command line is wrong. The first line of an error on standard
error says what to do.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer

from flowcore.cli.commands import Commands
from flowcore.cli.show import show_error, show_problems
from flowcore.cli.streams import give_up_output, occupy_closed
from flowcore.errors import FlowcoreError, GraphError, MissingExtra, UsageError, system_message

app = typer.Typer(
    cls=Commands,
    add_completion=False,
    rich_markup_mode=None,  # help as plain text: it fits in 80 columns and can be piped
    pretty_exceptions_enable=False,  # a traceback is for a mistake in code, and plain ones can be searched for
    context_settings={"help_option_names": ["-h", "--help"]},
)

# The error of typer for a wrong command line. It moved from click into typer, and has no public name there.
_WrongUsage: Any = typer.BadParameter.__base__


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"flowcore {version('flowcore')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _flowcore(
    context: typer.Context,
    asked: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
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
    terminated = False

    def on_sigterm(number: int, frame: object) -> NoReturn:
        """End as after Ctrl-C: ``with`` blocks end processes and remove folders. `run` has a handler of its own.

        Not `SystemExit`: where a node's module is imported, that would count as an error of the module.
        """
        nonlocal terminated
        terminated = True
        raise KeyboardInterrupt

    occupy_closed()
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)
        code = app(args=arguments, prog_name="flowcore", standalone_mode=False)
        sys.stdout.flush()  # while its error can still be shown
    except _WrongUsage as error:
        message = " ".join(error.format_message().replace("Value error, ", "").split())  # a list of choices has rows
        message = message.removeprefix("Invalid value: ")  # when no option is named
        show_error(f"{message}\nsee  {error.ctx.command_path if error.ctx else 'flowcore'} --help")
        code = 2
    except GraphError as error:
        show_problems(error.problems)
        code = 2
    except FlowcoreError as error:
        show_error(str(error))
        code = 2 if isinstance(error, UsageError | MissingExtra) else 1
    except OSError as error:  # usually a full disk under the output: errors of nodes have been reported by now
        give_up_output()
        if not isinstance(error, BrokenPipeError):  # `| head` reads no more
            show_error(system_message(error))
        code = 1
    except KeyboardInterrupt:  # before or after typer's own handling
        code = 128 + signal.SIGINT
    raise SystemExit(128 + signal.SIGTERM if terminated else code or 0)
