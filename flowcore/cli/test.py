"""``flowcore test``: run tests of whole graphs on a virtual clock."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree

import typer
from rich.console import Console
from rich.text import Text

from flowcore.cli.show import show_problems
from flowcore.errors import GraphError, UsageError
from flowcore.scenario.load import load
from flowcore.scenario.run import Verdict, record, recorded, run


def run_tests(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Test files.")],
    update: Annotated[bool, typer.Option("--update", help="Record the results as expected from now on.")] = False,
    junit: Annotated[Path | None, typer.Option(metavar="XML", help="Write a JUnit report to XML.")] = None,
) -> None:
    """Run tests of graphs.

    A test file has calls that come in, and the expected results. A result that a test does not expect (a drop, a
    failure, a file) makes it fail. Opens no socket and does not wait: time is virtual, and files go to a temporary
    folder.

    Exit code: 0 all passed, 1 some failed, 2 a test file or a graph is wrong.
    """
    console = Console(highlight=False)
    verdicts: list[Verdict] = []
    wrong = False
    if junit is not None:
        _write(junit, verdicts)  # fail before the tests run, not after them
    for path in files:
        try:
            scenarios = load(path)
        except GraphError as error:
            wrong = True
            show_problems(error.problems)
            continue
        before = {} if update else recorded(path)
        ours = []
        for scenario in scenarios:
            ours.append(run(scenario, before.get(scenario.name)))
            if not update:
                _show(console, ours[-1])
        verdicts += ours
        if update:
            console.print(f"{path}: recorded {len(ours)} in {record(path, ours)}", soft_wrap=True)
    failed = [verdict for verdict in verdicts if verdict.differences and not update]
    if junit is not None:
        _write(junit, verdicts)
    if not update and verdicts:
        total = f"{len(verdicts) - len(failed)} passed" + (f", {len(failed)} failed" if failed else "")
        console.print(total, style="bold red" if failed else "bold green")
    raise typer.Exit(2 if wrong else 1 if failed else 0)


def _show(console: Console, verdict: Verdict) -> None:
    scenario = verdict.scenario
    passed = not verdict.differences
    mark = ("ok    ", "green") if passed else ("FAILED", "bold red")
    place = f"{scenario.path}:{scenario.line}"
    console.print(Text.assemble(mark, f"  {place}: {scenario.name}  ({verdict.seconds:.2f} s)"), soft_wrap=True)
    for difference in verdict.differences:
        console.print(Text(f"          {difference}"), soft_wrap=True)


def _write(path: Path, verdicts: list[Verdict]) -> None:
    """Write the parts of JUnit XML that CI systems read. Raises `UsageError`."""
    suites = ElementTree.Element("testsuites")
    for file in dict.fromkeys(str(verdict.scenario.path) for verdict in verdicts):
        group = [verdict for verdict in verdicts if str(verdict.scenario.path) == file]
        failures = sum(bool(verdict.differences) for verdict in group)
        time = f"{sum(verdict.seconds for verdict in group):.3f}"
        about = {"name": file, "tests": str(len(group)), "failures": str(failures), "time": time}
        suite = ElementTree.SubElement(suites, "testsuite", about)
        for verdict in group:
            name, time = verdict.scenario.name, f"{verdict.seconds:.3f}"
            case = ElementTree.SubElement(suite, "testcase", classname=file, name=name, time=time)
            if verdict.differences:
                failure = ElementTree.SubElement(case, "failure", message=verdict.differences[0])
                failure.text = "\n".join(verdict.differences)
    try:
        ElementTree.ElementTree(suites).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
