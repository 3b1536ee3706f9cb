"""The schema that editors read: everything that runs passes, and what it refuses `check` refuses too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from flowcore.errors import GraphError
from flowcore.graph.graph_file import SUBGRAPH_KEYS
from flowcore.graph.load import load, load_text
from flowcore.graph.node_parser import KEYS
from flowcore.graph.schema import schema
from flowcore.registry import available

ROOT = Path(__file__).parents[2]
OURS = [entry.load() for entry in available().values() if entry.module.startswith("nodes.")]
SCHEMA = schema(OURS)
VALIDATOR = Draft7Validator(SCHEMA)
GRAPHS = sorted([*ROOT.glob("graphs/*.yaml"), *ROOT.glob("tests/bench/graphs/*.yaml")])

GOOD = """\
flowcore: 1
description: every kind of key
nodes:
  call:    {use: ringcx, with: {port: 3333, max_speed: 4, handshake: 5s}}
  ordered: {use: reorder, from: call, with: {window: 120ms, chunk: 100ms, mode: wait}}
  voices:  {use: decode_mulaw, from: ordered}
  wav:     {use: wav_file, from: voices, with: {path: "x/{flow}.wav", max: 1GiB}, on_error: restart}
  speech:  {use: resample, from: [voices], with: {rate: 16000, quality: HQ}}
  party:   {use: split, from: speech}
  agent:   {use: transcribe, from: party.agent, with: {threshold: 0.3}, queue: {max: 5s, on_full: drop_oldest}}
  text:    {use: transcript_file, from: agent}
"""

BROKEN = [
    # of the file
    ("flowcore: 1", "flowcore: 2"),
    ("flowcore: 1\n", ""),
    ("description: every", "descripton: every"),
    ("description: every kind of key", "description: [a, b]"),
    (GOOD[GOOD.index("nodes:") :], "nodes: {}\n"),
    (GOOD[GOOD.index("nodes:") :], "nodes: [call]\n"),
    (GOOD[GOOD.index("nodes:") :], ""),
    # of a node
    ("  call: ", "  Call: "),
    ("  text: ", "  2nd_text: "),
    ("{use: split, from: speech}", "split"),
    ("use: decode_mulaw, ", ""),
    ("use: decode_mulaw", "use: decode_mulwa"),
    ("use: decode_mulaw", "use: [decode_mulaw]"),
    ("from: ordered", "form: ordered"),
    ("{use: split, from: speech}", "{use: split}"),
    ("from: [voices]", "from: []"),
    ("from: [voices]", "from: [voices, voices]"),
    ("from: [voices]", "from: {voices: 1}"),
    ("{use: ringcx, ", "{use: ringcx, from: speech, "),
    ("{use: ringcx, ", "{use: ringcx, queue: {max: 1s}, "),
    ("on_error: restart", "on_error: restrat"),
    # of the queue
    ("queue: {max: 5s", "queue: {max: 5"),
    ("queue: {max: 5s", "queue: {most: 5s"),
    ("on_full: drop_oldest", "on_full: drop_first"),
    ("queue: {max: 5s, on_full: drop_oldest}", "queue: 5s"),
    # of the config
    ("port: 3333", "prot: 3333"),
    ("port: 3333", "port: 70000"),
    ("port: 3333", "port: phone"),
    ("port: 3333", "port: [3333]"),
    ("max_speed: 4", "max_speed: 0"),
    ("max_speed: 4", "max_speed: fast"),
    ("window: 120ms", "window: 120"),
    ("window: 120ms", "window: 120 m"),
    ("window: 120ms", "window: 120kHz"),
    ("mode: wait", "mode: skip-late"),
    ("quality: HQ", "quality: best"),
    ("rate: 16000", "rate: 16.5"),
    ("max: 1GiB", "max: 1G"),
    ("threshold: 0.3", "threshold: 1.5"),
    ("threshold: 0.3", "treshold: 0.3"),
    ('path: "x/{flow}.wav"', "path: 5"),
    ("with: {threshold: 0.3}", "with: [0.3]"),
]  # fmt: skip


def wrong(text):
    """What the validator says, with an independent reader of YAML."""
    return list(VALIDATOR.iter_errors(yaml.safe_load(text)))


def test_the_schema_is_one():
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_every_graph_passes_both(path):
    assert wrong(path.read_text()) == []
    assert load(path).nodes


def test_the_good_one_passes_both():
    assert wrong(GOOD) == []
    assert len(load_text(GOOD).nodes) == 8


def test_there_are_enough_broken_ones():
    assert len(BROKEN) >= 30


@pytest.mark.parametrize(("right", "mistake"), BROKEN, ids=[f"{n}-{m.strip()[:30]}" for n, (_, m) in enumerate(BROKEN)])
def test_each_mistake_fails_both(right, mistake):
    assert right in GOOD
    text = GOOD.replace(right, mistake, 1)
    assert wrong(text)
    with pytest.raises(GraphError):
        load_text(text)


@pytest.mark.parametrize("name", sorted(cls.name for cls in OURS))
def test_every_field_of_every_node_is_known_and_described(name):
    cls = available()[name].load()
    [rules] = [rule["then"] for rule in SCHEMA["properties"]["nodes"]["additionalProperties"]["allOf"]
               if rule["if"]["properties"]["use"].get("const") == name]  # fmt: skip
    config = rules["properties"]["with"]
    assert set(config["properties"]) == set(cls.Config.model_fields)
    for field in config["properties"].values():
        assert field["description"]
        assert "$ref" not in json.dumps(field)


def test_what_is_filled_in_later_passes():
    assert wrong(GOOD.replace("port: 3333", 'port: "${PORT}"').replace("window: 120ms", "window: $window")) == []


def test_own_nodes_pass_where_a_graph_imports_and_only_there():
    own = GOOD.replace("use: decode_mulaw", "use: my_decoder")
    assert wrong(own)
    assert wrong(own.replace("nodes:", "import: [my_nodes.py]\nnodes:")) == []
    assert wrong(own.replace("nodes:", "import: [my_nodes.txt]\nnodes:"))


def test_subgraphs_pass():
    part = "flowcore: 1\ninput: voice\nparameters: {rate: {default: 16000, description: Hz}}\noutputs: {text: words}\n"
    part += (
        "nodes:\n  fast: {use: resample, from: voice, with: {rate: $rate}}\n  words: {use: transcribe, from: fast}\n"
    )
    assert wrong(part) == []
    assert wrong(part.replace("default", "defualt"))
    used = "flowcore: 1\nnodes:\n  call: {use: wav_source}\n  a: {use: ./words.yaml, from: call, with: {rate: 8000}}\n"
    assert wrong(used) == []
    assert wrong(used.replace("from: call, ", ""))
    assert wrong(used.replace("from: call, ", "from: call, queue: {max: 1s}, "))


def test_the_keys_are_those_that_the_loader_reads():
    assert set(SCHEMA["properties"]) == set(SUBGRAPH_KEYS)
    assert set(SCHEMA["properties"]["nodes"]["additionalProperties"]["properties"]) == set(KEYS)


def test_the_file_in_docs_is_what_the_nodes_say_now():
    assert json.loads((ROOT / "docs" / "graph.schema.json").read_text()) == SCHEMA, "run  make docs"


@pytest.mark.parametrize("path", sorted(ROOT.glob("graphs/*.yaml")), ids=lambda path: path.stem)
def test_every_graph_tells_editors_where_the_schema_is(path):
    [line] = [line for line in path.read_text().splitlines() if line.startswith("# yaml-language-server:")]
    assert (path.parent / line.partition("$schema=")[2]).resolve() == ROOT / "docs" / "graph.schema.json"


@pytest.mark.parametrize("value", ["120", "120 m", '"120"', "120kHz"])
def test_editors_are_told_that_a_unit_is_missing(value):
    [error] = [error for error in wrong(GOOD.replace("window: 120ms", f"window: {value}")) if "window" in error.path]
    assert error.schema["errorMessage"] == "needs a unit: write for example 120ms"
    assert error.schema["patternErrorMessage"] == error.schema["errorMessage"]
