"""`flowcore nodes`: the reference comes from the code of the nodes that are installed."""

import json
from pathlib import Path

import pytest

from flowcore.cli.nodes import page
from flowcore.reference import reference
from flowcore.registry import available

ROOT = Path(__file__).parents[2]
OWN_NODE = """
from typing import Any

from flowcore import Config, Sink, node

@node("lantern")
class Lantern(Sink[Any, Config]):
    '''Light up.'''

    def process(self, chunk):
        pass
"""


def test_nodes_are_listed_by_family_with_their_purpose(flowcore, acme):
    lines = flowcore("nodes").out.splitlines()
    families = [line.strip() for line in lines if not line.startswith(" ")]
    assert families == ["sources", "transforms", "sinks", "cannot be loaded"]

    def place(start):
        [number] = [number for number, line in enumerate(lines) if line.startswith(start)]
        return number

    assert place("sources") < place("  acme_bell") < place("transforms") < place("  acme_echo") < place("sinks")
    assert place("sinks") < place("  acme_shelf") < place("cannot be loaded") < place("  acme_torn")
    assert "Keep sound in boxes, one beside the other." in lines[place("  acme_shelf")]
    assert "No module named 'no_such_module_at_all'" in " ".join(" ".join(lines[place("  acme_torn") :]).split())


@pytest.mark.parametrize("columns", ["", "30"])
def test_names_and_words_are_whole_at_any_width(flowcore, acme, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns) if columns else monkeypatch.delenv("COLUMNS")
    text = flowcore("nodes").out
    assert "\n  acme_shelf  " in text
    assert "\n  ringcx_recording  " in text
    assert " 'no_such_module_at_all'" in text
    if not columns:
        assert "  acme_shelf        Keep sound in boxes, one beside the other.\n" in text


def test_nodes_of_a_file_are_listed_and_suggested(flowcore, acme, tmp_path):
    file = tmp_path / "lantern.py"
    file.write_text(OWN_NODE)
    assert "  lantern " in flowcore("nodes", "--import", file).out
    assert flowcore("nodes", "lantern", "--import", file).out.startswith("lantern  (sinks)\n\nLight up.\n")
    outcome = flowcore("nodes", "lantren", "--import", file)
    assert outcome.err == 'error: there is no node "lantren": did you mean "lantern"?\n'
    outcome = flowcore("nodes", "lantren")
    advice = "`flowcore nodes` lists all; --import FILE adds the nodes of a Python file"
    assert outcome.err == f'error: there is no node "lantren": {advice}\n'


def test_a_file_that_cannot_be_imported_is_an_error(flowcore, tmp_path):
    (tmp_path / "broken.py").write_text("import no_such_module_at_all\n")
    outcome = flowcore("nodes", "--import", tmp_path / "broken.py")
    assert (outcome.code, outcome.out) == (1, "")
    assert "no_such_module_at_all" in outcome.err


def test_reference_of_a_sink(flowcore, acme):
    assert (
        [line.rstrip() for line in flowcore("nodes", "acme_shelf").out.splitlines()]
        == """\
acme_shelf  (sinks)

Keep sound in boxes, one beside the other.

ports
  in  audio s16 8 kHz|16 kHz
  works in a thread, behind a queue; what comes in must not be lost

config
  path  text, required
      Where it stands.
  count  whole number >= 1 and <= 9, default 3
      How many boxes.
  keep  duration (us, ms, s, min, h), default 1h
      How long.
  order  one of first, last, default first
      Which one to open.
  lid  number, default none
      Weight of a lid.
  box  box, default as below
      Each of them.
  box.size  size (B, KiB, MiB, GiB, kB, MB, GB), default 64KiB
      How large.
""".splitlines()
    )


def test_reference_of_a_listener_tells_its_format_and_keeps_its_example_on_one_line(flowcore, acme):
    text = flowcore("nodes", "acme_bell").out
    assert "  out  audio s16 8 kHz mono" in text
    assert '    bell: {use: acme_bell, with: {text: "a text that makes this line longer than any terminal' in text
    assert 'of a test is wide"}}\n' in text
    assert "  text  text, default ding\n" in text


def test_reference_of_a_node_with_several_outputs_names_them(flowcore, acme):
    text = flowcore("nodes", "acme_echo").out
    assert "  in  anything\n" in text
    assert "  out .second  write  from: NAME.second\n" in text
    assert text.endswith("config\n  none\n")


def test_unknown_node_gets_a_suggestion(flowcore, acme):
    outcome = flowcore("nodes", "acme_shlef")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == 'error: there is no node "acme_shlef": did you mean "acme_shelf"?\n'


@pytest.mark.parametrize("name", sorted(available()))
def test_every_node_has_a_reference_with_a_text_for_each_field(flowcore, name):
    outcome = flowcore("nodes", name)
    assert outcome.code == 0
    assert outcome.out.startswith(f"{name}  (")
    for field in available()[name].load().Config.model_fields.values():
        assert field.description


def test_json_has_what_the_reference_says(flowcore, acme):
    [shelf] = [one for one in json.loads(flowcore("nodes", "--json").out) if one["name"] == "acme_shelf"]
    assert json.loads(flowcore("nodes", "acme_shelf", "--json").out) == shelf
    assert (shelf["family"], shelf["purpose"]) == ("sinks", "Keep sound in boxes, one beside the other.")
    assert shelf["caps"] == ["audio s16 8 kHz|16 kHz"]
    assert shelf["outputs"] == {}
    fields = {field["name"]: field for field in shelf["fields"]}
    assert fields["path"]["required"]
    assert fields["keep"] == {
        "name": "keep",
        "type": "duration (us, ms, s, min, h)",
        "required": False,
        "default": "1h",
        "description": "How long.",
        "live": False,
    }
    assert fields["box.size"]["default"] == "64KiB"
    [bell] = [one for one in json.loads(flowcore("nodes", "--json").out) if one["name"] == "acme_bell"]
    assert bell["example"].startswith("bell: {use: acme_bell")
    assert bell["outputs"] == {"": "audio s16 8 kHz mono"}


def test_a_page_of_the_users_own_nodes_has_them_too(flowcore, acme):
    text = flowcore("nodes", "--markdown").out
    assert "### acme_shelf\n" in text
    assert "- **in**: audio s16 8 kHz|16 kHz\n" in text
    assert "| `box.size` | size (B, KiB, MiB, GiB, kB, MB, GB) | `64KiB` | How large. |\n" in text


def test_the_page_in_docs_is_what_the_nodes_say_now():
    ours = [entry.load() for name, entry in sorted(available().items()) if entry.module.startswith("nodes.")]
    current = page([reference(cls) for cls in ours])
    assert (ROOT / "docs" / "nodes.md").read_text() == current, "run  make docs"


def test_sentences_fit_the_terminal_and_an_example_stays_on_its_line(flowcore):
    lines = flowcore("nodes", "wav_file").out.splitlines()
    assert max(len(line) for line in lines if not line.startswith("    ")) <= 80
    assert any(line.startswith("    wav: {use: wav_file") and line.endswith("}}") for line in lines)
