"""Write the tests of each row of docs/faults.md: ``python -m tests.faults.table``, or ``make docs``.

A test belongs to row n when it carries ``@pytest.mark.fault(n)``.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "faults.md"
ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \| (.*) \|$", re.MULTILINE)


def marked(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the rows and the names of the marked tests of a file."""
    for statement in ast.parse(path.read_text()).body:
        match statement:
            case ast.FunctionDef(name=name, decorator_list=calls) | ast.ClassDef(name=name, decorator_list=calls):
                pass
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Call() as call)):
                calls = [call]
            case _:
                continue
        for call in calls:
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.fault":
                yield from ((ast.literal_eval(row), name) for row in call.args)


def marked_tests() -> dict[int, list[str]]:
    """Return the tests of each row, those of tests/faults first."""
    found = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py"), key=lambda path: (path.parent != TESTS / "faults", path)):
        for row, name in marked(path):
            found[row].append(f"`{path.relative_to(TESTS).as_posix()}::{name}`")
    return found


def written(page: str) -> str:
    """Return the page with the tests of each row in its last column."""
    found = marked_tests()
    return ROW.sub(lambda row: f"| {row[1]} | {row[2]} | {row[3]} | {' '.join(found[int(row[1])])} |", page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
