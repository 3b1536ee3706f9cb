"""`flowcore schema`: the installed nodes, and those of files that it is told of."""

import json

import pytest
from jsonschema import Draft7Validator

OWN = '''
from flowcore import ANY_AUDIO, Sink, node

@node("my_bin")
class Bin(Sink):
    """Throw away."""

    caps = (ANY_AUDIO,)

    def process(self, chunk):
        pass
'''


def types(schema):
    return schema["then"]["properties"]["nodes"]["additionalProperties"]["properties"]["use"]["anyOf"][0]["enum"]


def test_installed_nodes_of_others_are_in_it(flowcore, acme):
    schema = json.loads(flowcore("schema").out)
    assert {"acme_bell", "acme_shelf", "acme_echo", "ringcx"} <= set(types(schema))
    assert "acme_torn" not in types(schema)  # cannot be loaded
    shelf = {"use": "acme_shelf", "from": "bell", "with": {"path": "x", "box": {"size": "1KiB"}}}
    graph = {"flowcore": 1, "nodes": {"bell": {"use": "acme_bell"}, "shelf": shelf}}
    validator = Draft7Validator(schema)
    assert validator.is_valid(graph)
    shelf["with"] = {"path": "x", "box": {"size": "1Kib"}}
    assert not validator.is_valid(graph)
    del shelf["with"]
    assert not validator.is_valid(graph)  # path is required


def test_own_files_are_in_it_when_named(flowcore, tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    outcome = flowcore("schema", "--import", tmp_path / "mine.py", "-o", tmp_path / "schema.json")
    assert (outcome.code, outcome.out) == (0, "")
    assert "my_bin" in types(json.loads((tmp_path / "schema.json").read_text()))


@pytest.mark.parametrize("text", ["import no_such_module\n", "x = 1\n"])
def test_own_file_that_holds_no_node_is_an_error(flowcore, tmp_path, text):
    (tmp_path / "mine.py").write_text(text)
    outcome = flowcore("schema", "--import", tmp_path / "mine.py")
    assert outcome.code != 0
    assert outcome.err.startswith("error: ")
    assert outcome.out == ""
