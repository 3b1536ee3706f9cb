"""Own nodes: Python files that a graph imports, and the errors in them."""

import sys

import pytest

from flowcore.errors import BrokenImport, GraphError, NameClash
from flowcore.graph.load import load
from flowcore.registry import from_file
from tests.graph.nodes import REGISTRY
from tests.graph.test_load import marked

GRAPH = """\
flowcore: 1
import: [mine.py]
nodes:
  call: {use: phone}
  loud: {use: louder, from: call, with: {gain: 3}}
  lamp: {use: lamp, from: loud}
"""
MINE = '''\
from typing import Any

from flowcore import Config, Transform, node


class LouderConfig(Config):
    gain: float = 2.0
    """Factor."""


@node("louder")
class Louder(Transform[Any, Any, LouderConfig]):
    """Make it louder."""

    def process(self, chunk: Any, emit: Any) -> None:
        emit(chunk)
'''


@pytest.fixture(autouse=True)
def _same_modules():
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("mine"):
            del sys.modules[name]


def loaded(folder, graph=GRAPH, mine=MINE):
    (folder / "mine.py").write_text(mine)
    (folder / "g.yaml").write_text(graph)
    return load(folder / "g.yaml", (), {"WORD": "a-secret-word"}, REGISTRY)


def problem_of(folder, graph=GRAPH, mine=MINE):
    text, places = marked(graph)
    with pytest.raises(GraphError) as caught:
        loaded(folder, text, mine)
    problem = next(p for p in caught.value.problems if p.position.line <= 2)
    assert places == [(problem.position.line, problem.position.column, problem.position.length)]
    return problem


WRONG = GRAPH.replace("mine.py", "⟦mine.py⟧")


def test_graph_uses_the_nodes_of_a_file_beside_it(tmp_path):
    node = loaded(tmp_path).nodes["loud"]
    assert node.cls.__doc__ == "Make it louder."
    assert node.config.gain == 3
    assert type(node.config).model_fields["gain"].description == "Factor."


@pytest.mark.parametrize(
    ("use", "help"),
    [("use: louder", "add  import: [../mine.py]  to this file"), ("use: luoder", 'did you mean "louder"?')],
)
def test_subgraph_that_does_not_import_a_node_is_told_which_file_does(tmp_path, use, help):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "voice.yaml").write_text(
        f"flowcore: 1\ninput: voice\nnodes:\n  loud: {{{use}, from: voice}}\n  lamp: {{use: lamp, from: loud}}\n"
    )
    with pytest.raises(GraphError) as caught:
        loaded(tmp_path, f"{GRAPH}  inner: {{use: ./sub/voice.yaml, from: call}}\n")
    [problem] = caught.value.problems
    assert problem.code == "unknown-node-type"
    assert problem.position.path.endswith("voice.yaml")
    assert problem.help == help


def test_node_of_an_imported_file_is_suggested(tmp_path):
    with pytest.raises(GraphError) as caught:
        loaded(tmp_path, GRAPH.replace("use: louder", "use: luoder"))
    [problem] = caught.value.problems
    assert problem.help == 'did you mean "louder"?'


def test_file_is_run_once_and_again_when_it_changed(tmp_path):
    first = loaded(tmp_path).nodes["loud"].cls
    assert loaded(tmp_path).nodes["loud"].cls is first
    assert loaded(tmp_path, mine=MINE.replace("2.0", "5.0")).nodes["loud"].cls.Config().gain == 5


def test_file_cannot_take_the_place_of_pythons_own(tmp_path):
    (tmp_path / "json.py").write_text(MINE)
    [entry] = from_file(tmp_path / "json.py")
    assert entry.load().name == "louder"
    assert hasattr(sys.modules["json"], "dumps")


def test_module_that_a_test_imported_is_the_one_that_a_graph_uses(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    import mine

    assert from_file(tmp_path / "mine.py")[0].load() is mine.Louder


def test_classes_that_a_file_only_uses_are_not_its_nodes(tmp_path):
    other = MINE + "\nfrom tests.graph.nodes import Lamp\n\n@node('hidden')\nclass Hidden(Louder):\n    pass\n"
    (tmp_path / "mine.py").write_text(other)
    assert [entry.name for entry in from_file(tmp_path / "mine.py")] == ["louder", "hidden"]


def test_error_of_the_file_is_shown_with_its_authors_lines_only(tmp_path):
    helper = "\n\ndef gain():\n    return 1 / 0\n\n\nGAIN = gain()\n"
    problem = problem_of(tmp_path, WRONG, MINE + helper)
    assert problem.code == "broken-import"
    assert problem.message == "mine.py cannot be imported: ZeroDivisionError: division by zero"
    assert problem.trace == ("mine.py:23, in <module>: GAIN = gain()", "mine.py:20, in gain: return 1 / 0")
    assert "     | mine.py:20, in gain: return 1 / 0" in str(problem)


def test_error_below_the_authors_code_is_shown_where_the_author_stands(tmp_path):
    problem = problem_of(tmp_path, WRONG, "import json\nVALUE = json.loads('[')\n")
    assert [line.partition(":")[0] for line in problem.trace] == ["mine.py"]


def test_config_that_pydantic_refuses_is_an_error_of_the_file(tmp_path):
    problem = problem_of(tmp_path, WRONG, MINE.replace("gain: float = 2.0", "gain: unknown_type = 2.0"))
    assert "unknown_type" in problem.message


def test_file_that_is_no_python_is_shown_with_its_line(tmp_path):
    problem = problem_of(tmp_path, WRONG, "x = 1\nclass :\n")
    assert problem.trace == ("mine.py:2: class :",)


def test_file_that_ends_the_process_does_not(tmp_path):
    assert "SystemExit" in problem_of(tmp_path, WRONG, "raise SystemExit(0)").message


def test_file_without_a_node(tmp_path):
    assert "holds no node" in problem_of(tmp_path, WRONG, "x = 1\n").message


def test_name_that_is_taken_names_both_places(tmp_path):
    problem = problem_of(tmp_path, WRONG, MINE.replace('"louder"', '"lamp"'))
    assert problem.code == "name-clash"
    assert "tests.graph.nodes" in problem.message
    assert str(tmp_path / "mine.py") in problem.message


def test_two_classes_of_one_name_in_a_file(tmp_path):
    twin = MINE + MINE.partition("\n\n\n")[2].replace("class Louder", "class Twin")
    problem = problem_of(tmp_path, WRONG, twin)
    assert problem.code == "name-clash"
    assert "class Louder" in problem.message
    assert "class Twin" in problem.message
    with pytest.raises(NameClash):
        from_file(tmp_path / "mine.py")


def test_name_that_no_graph_could_say(tmp_path):
    assert problem_of(tmp_path, WRONG, MINE.replace('"louder"', '"Louder!"')).code == "bad-name"


BROKEN = [
    ("bad-import", "list of Python files", "import: ⟦mine.py⟧"),
    ("bad-import", "needs Python files", "import: [mine.py, ⟦acme⟧]"),
    ("bad-import", "needs Python files", "import: [mine.py, ⟦[a.py]⟧]"),
    ("import-outside", "outside the directory", "import: [mine.py, ⟦../other.py⟧]"),
    ("import-outside", "outside the directory", "import: [mine.py, ⟦/tmp/other.py⟧]"),
    ("broken-import", "cannot be read", "import: [mine.py, ⟦not_there.py⟧]"),
    ("tag", "tag", "import: [mine.py, ⟦!!python/module:os x⟧]"),
]


@pytest.mark.parametrize(("code", "says", "line"), BROKEN)
def test_wrong_import(tmp_path, code, says, line):
    problem = problem_of(tmp_path, GRAPH.replace("import: [mine.py]", line))
    assert problem.code == code
    assert says in str(problem)


def test_link_that_leads_outside_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out.py").write_text(MINE)
    (tmp_path / "in" / "link.py").symlink_to(tmp_path / "out.py")
    problem = problem_of(tmp_path / "in", GRAPH.replace("mine.py", "mine.py, ⟦link.py⟧"))
    assert problem.code == "import-outside"


def test_unreadable_file_says_why(tmp_path):
    with pytest.raises(BrokenImport, match="No such file"):
        from_file(tmp_path / "mine.py")
