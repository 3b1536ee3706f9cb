"""`flowcore nodes`: the reference comes from the code of the nodes that are installed."""

import pytest

from flowcore.registry import available


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
  count  whole number >= 1 <= 9, default 3
      How many boxes.
  keep  duration (us, µs, ms, s, min, h), default 1h
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
