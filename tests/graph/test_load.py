"""One broken graph for each thing that can be wrong; ⟦marks⟧ show where the problem must point."""

import re

import pytest

from flowcore.errors import GraphError
from flowcore.graph.load import load, load_text
from flowcore.units import Decibels, Duration
from tests.graph.nodes import GOOD, REGISTRY, Filter, Store

CALL = "flowcore: 1\nnodes:\n  call: {use: phone}\n"
LAMP = "  light: {use: lamp, from: call}\n"


def problems_of(text, **options):
    options = {"registry": REGISTRY, "environ": {}} | options
    with pytest.raises(GraphError) as caught:
        load_text(text, "g.yaml", **options)
    return caught.value.problems


def marked(text):
    """The text without its marks, and the (line, column, length) of each."""
    places = []
    while (start := text.find("⟦")) >= 0:
        end = text.index("⟧", start)
        places.append((text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start), end - start - 1))
        text = text[:start] + text[start + 1 : end] + text[end + 1 :]
    return text, places


BROKEN = [
    # the file itself
    ("not-a-graph", "empty", "⟦⟧"),
    ("not-a-graph", "empty", "⟦#⟧ nothing here\n"),
    ("not-a-graph", "no mapping", "⟦- call⟧\n"),
    ("not-a-graph", "no mapping", "⟦just words⟧\n"),
    ("missing-version", "which version", "⟦nodes:⟧\n  call: {use: phone}\n" + LAMP),
    ("unknown-version", "version 1", CALL.replace("1", "⟦2⟧") + LAMP),
    ("unknown-version", "version 1", CALL.replace("1", "⟦[1]⟧") + LAMP),
    ("missing-nodes", "no nodes", "⟦flowcore: 1⟧\n"),
    ("test-file", "run them with  flowcore test g.yaml", "flowcore: 1\ngraph: a.yaml\n⟦tests⟧: {}\n"),
    ("missing-nodes", "no nodes by name", "flowcore: 1\n⟦nodes⟧:\n"),
    ("missing-nodes", "no nodes by name", "flowcore: 1\n⟦nodes⟧: [call]\n"),
    ("unknown-key", 'did you mean "description"', CALL + LAMP + "⟦descripton⟧: hm\n"),
    ("bad-description", "is text", CALL + LAMP + "description: ⟦[a, b]⟧\n"),
    # YAML
    ("yaml-syntax", "not YAML", CALL + "  light: {use: lamp, from: call⟦⟧\n"),
    ("yaml-syntax", "not YAML", CALL + "  light: use⟦:⟧ lamp\n"),
    ("yaml-syntax", "no tabs", CALL + "  light:\n⟦\t⟧use: lamp\n"),
    ("yaml-syntax", "in quotes", CALL.replace("}", ", with: {port: $⟦{⟧PORT}}}") + LAMP),
    ("alias", "*call", CALL + "  light: {use: lamp, from: ⟦*call⟧}\n"),
    ("anchor", "&x", CALL + "  light: ⟦&x {⟧use: lamp, from: call}\n"),
    ("tag", "tag", CALL + "  light: {use: ⟦!!str lamp⟧, from: call}\n"),
    ("tag", "python/object", CALL + "  light: {use: ⟦!!python/object/apply:os.system [⟧x], from: call}\n"),
    ("merge-key", "merges", CALL + "  light: {⟦<<⟧: {use: lamp}, use: lamp, from: call}\n"),
    ("repeated-key", "first on line 3", CALL + "  ⟦call⟧: {use: phone}\n" + LAMP),
    ("repeated-key", "twice", CALL + "  light: {use: lamp, from: call, ⟦use⟧: lamp}\n"),
    ("bad-key", "a word", CALL + "  light: {use: lamp, from: call, ⟦[a, b]⟧: c}\n"),
    ("several-documents", "one document", CALL + LAMP + "⟦---⟧\nmore: 1\n"),
    ("too-deep", "20 deep", CALL + LAMP + "description: " + "[" * 19 + "⟦[⟧" + "]" * 20 + "\n"),
    ("bad-character", "U+0007", CALL + LAMP + "# a bell: ⟦\a⟧\n"),
    ("bad-character", "U+2028", CALL + LAMP + "# a line of its own? ⟦\u2028⟧\n"),
    # the keys of a node
    ("bad-name", '"Light"', CALL + "  ⟦Light⟧: {use: lamp, from: call}\n"),
    ("bad-name", '"2nd"', CALL + "  ⟦2nd⟧: {use: lamp, from: call}\n"),
    ("bad-name", "64", CALL + f"  ⟦{'a' * 65}⟧: {{use: lamp, from: call}}\n"),
    ("bad-node", "no mapping", CALL + LAMP + "  other: ⟦lamp⟧\n"),
    ("missing-use", "which node", CALL + LAMP + "  ⟦other⟧: {from: call}\n"),
    ("bad-use", "one node", CALL + LAMP + "  other: {use: ⟦[lamp]⟧, from: call}\n"),
    ("unknown-node-type", 'did you mean "lamp"?', CALL + "  light: {use: ⟦lmap⟧, from: call}\n"),
    ("unknown-node-type", "flowcore nodes", CALL + "  light: {use: ⟦os.system⟧, from: call}\n"),
    ("unknown-node-type", "${LAMP}", CALL + '  light: {use: ⟦"${LAMP}"⟧, from: call}\n'),
    ("broken-node", "no_such_module", CALL + LAMP + "  other: {use: ⟦torn⟧, from: call}\n"),
    ("broken-node", "@node", CALL + LAMP + "  other: {use: ⟦nameless⟧, from: call}\n"),
    ("unknown-key", 'did you mean "queue"?', CALL + "  light: {use: lamp, from: call, ⟦queu⟧: {max: 1s}}\n"),
    ("unknown-key", "with: {path: …}", CALL + "  a: {use: store, from: call, with: {path: x}, ⟦path⟧: y}\n"),
    ("missing-extra", "flowcore[heavy]", CALL + "  light: {use: ⟦heavy⟧, from: call}\n"),
    ("bad-on-error", 'did you mean "restart"?', CALL + "  light: {use: lamp, from: call, on_error: ⟦restrat⟧}\n"),
    # queue
    ("bad-queue", "mapping", CALL + "  light: {use: lamp, from: call, queue: ⟦5s⟧}\n"),
    ("unit-missing", "120ms", CALL + "  light: {use: lamp, from: call, queue: {max: ⟦5⟧}}\n"),
    ("unknown-field", 'did you mean "on_full"?', CALL + "  l: {use: lamp, from: call, queue: {⟦onfull⟧: block}}\n"),
    ("bad-value", '"drop_oldest"', CALL + "  light: {use: lamp, from: call, queue: {on_full: ⟦drop_oldst⟧}}\n"),
    ("listener-with-queue", "nothing", CALL.replace("phone}", "phone, queue: ⟦{max: 1s}⟧}") + LAMP),
    # config
    ("bad-with", "mapping", CALL + "  light: {use: lamp, from: call, with: ⟦[a]⟧}\n"),
    ("missing-field", "path: Where to.", CALL + "  ⟦kept⟧: {use: store, from: call}\n"),
    ("missing-field", "path: Where to.", CALL + "  ⟦kept⟧:\n    use: store\n    from: call\n    with:\n"),
    ("unknown-field", 'did you mean "port"?', CALL.replace("}", ", with: {⟦prot⟧: 1}}") + LAMP),
    ("unknown-field", "it has no fields", CALL + "  light: {use: lamp, from: call, with: {⟦colour⟧: red}}\n"),
    ("bad-value", "less than or equal to 65535", CALL.replace("}", ", with: {port: ⟦70000⟧}}") + LAMP),
    ("bad-value", "a queue of length zero", CALL + "  light: {use: lamp, from: call, queue: {max: ⟦0s⟧}}\n"),
    ("bad-value", "valid integer", CALL.replace("}", ", with: {port: ⟦12:30:45⟧}}") + LAMP),
    ("bad-value", 'in quotes it is text: "007.5"', CALL.replace("}", ", with: {greeting: ⟦007.5⟧}}") + LAMP),
    ("bad-value", 'in quotes it is text: "true"', CALL.replace("}", ", with: {greeting: ⟦true⟧}}") + LAMP),
    ("bad-value", "boolean", CALL.replace("}", ", with: {public: ⟦maybe⟧}}") + LAMP),
    ("bad-value", "a lamp needs a device", CALL + "  l: {use: picky, from: call, with: {device: ⟦none⟧}}\n"),
]

FILTERED = CALL + "  loud: {use: filter, from: call, with: {%s}}\n  light: {use: lamp, from: loud}\n"
BROKEN += [
    (code, message, FILTERED % config)
    for code, message, config in [
        ("unit-missing", "needs a unit: write for example 120ms", "window: ⟦120⟧"),
        ("unit-missing", "needs a unit: write for example 120ms", 'window: ⟦"120"⟧'),
        ("unit-missing", "64KiB", "buffer: ⟦1e3⟧"),
        ("bad-value", "'120 m' is not a quantity", "window: ⟦120 m⟧"),
        ("bad-value", "is negative", "window: ⟦-5ms⟧"),
        ("bad-value", "too large", f"buffer: ⟦{'9' * 400}B⟧"),
        ("bad-value", "no sample rate", "rate: ⟦16⟧"),
        ("bad-value", 'did you mean "skip_late"?', "mode: ⟦skip-late⟧"),
        ("bad-value", "valid number", "gain: ⟦.nan⟧"),
        ("bad-value", "valid number", "weights: [1, ⟦two⟧]"),
        ("bad-value", "integer or should be 'none'", "limit: ⟦some⟧"),
        ("missing-field", 'needs "detector.name"', "⟦detector⟧: {level: -40dB}"),
        ("unknown-field", 'did you mean "level"?', "detector: {name: x, ⟦lvel⟧: -40dB}"),
        ("unit-missing", "-45dB", "detector: {name: x, level: ⟦-40⟧}"),
        ("bad-value", "dictionary or instance of Detector", "detector: ⟦energy⟧"),
        ("missing-variable", "no HOME_RATE", 'rate: "⟦${HOME_RATE}⟧"'),
        ("bad-variable", "${NAME}", 'mode: "⟦${⟧1}"'),
    ]
]

BROKEN += [
    # wires
    ("missing-from", "does not say", CALL + LAMP + "  ⟦other⟧: {use: lamp}\n"),
    ("missing-from", "does not say", CALL + LAMP + "  ⟦other⟧: {use: lamp, from: []}\n"),
    ("bad-from", "from: [node", CALL + LAMP + "  other: {use: lamp, from: ⟦{a: b}⟧}\n"),
    ("bad-from", "from: [node", CALL + LAMP + "  other: {use: lamp, from: [call, ⟦[light]⟧]}\n"),
    ("bad-from", "from: [node", CALL + "  light:\n    use: lamp\n    from:⟦⟧\n"),
    ("repeated-input", "twice", CALL + "  light: {use: lamp, from: [call, ⟦call⟧]}\n"),
    ("unknown-upstream", 'did you mean "call"?', CALL + "  light: {use: lamp, from: ⟦cal⟧}\n"),
    ("unknown-upstream", "the nodes are call and light", CALL + "  light: {use: lamp, from: [call, ⟦xyz⟧]}\n"),
    ("unknown-port", "one output", CALL + "  light: {use: lamp, from: ⟦call.agent⟧}\n"),
    (
        "unknown-port",
        'did you mean "customer"?',
        CALL + "  party: {use: halves, from: call}\n  a: {use: lamp, from: ⟦party.custmer⟧}\n",
    ),
    (
        "missing-port",
        "party.agent or party.customer",
        CALL + "  party: {use: halves, from: call}\n  a: {use: lamp, from: ⟦party⟧}\n",
    ),
    ("sink-as-upstream", "is a sink", CALL + LAMP + "  other: {use: lamp, from: ⟦light⟧}\n"),
    ("no-listener", "accepts calls", "flowcore: 1\n⟦nodes⟧:\n  light: {use: lamp, from: light}\n"),
    ("two-listeners", "second listener, after call", CALL + LAMP + "  b: {use: ⟦phone⟧}\n  c: {use: lamp, from: b}\n"),
    (
        "listener-with-from",
        "nothing comes before",
        CALL.replace("phone", "phone, from: ⟦loud⟧") + "  loud: {use: filter, from: call}\n" + LAMP,
    ),
    ("dead-end", "leads nowhere", CALL + LAMP + "  ⟦loud⟧: {use: filter, from: call}\n"),
    ("dead-end", "leads nowhere", "flowcore: 1\nnodes:\n  ⟦call⟧: {use: phone}\n"),
    (
        "cycle",
        "b → c → d → b",
        CALL + LAMP + "  b: {use: filter, from: [call, ⟦d⟧]}\n"
        "  c: {use: filter, from: b}\n  d: {use: filter, from: c}\n  e: {use: lamp, from: d}\n",
    ),
    ("cycle", "b → b", CALL + LAMP + "  b: {use: filter, from: ⟦b⟧}\n"),
]

MORE_THAN_ONE = {"no-listener": {"sink-as-upstream", "cycle"}, "listener-with-from": {"cycle"}, "alias": set()}


@pytest.mark.fault(43)
@pytest.mark.parametrize(("code", "message", "text"), BROKEN, ids=[f"{n}-{case[0]}" for n, case in enumerate(BROKEN)])
def test_broken_graph_is_reported_at_its_place(code, message, text):
    text, [place] = marked(text)
    problems = problems_of(text)
    [problem] = [problem for problem in problems if problem.code == code]
    at = problem.position
    assert (at.line, at.column) == place[:2]
    assert at.length == max(1, place[2])
    assert message in str(problem)
    assert {other.code for other in problems} - {code} == MORE_THAN_ONE.get(code, set())


def test_one_mistake_is_reported_once():
    text = GOOD.replace("from: call", "from: cal").replace("use: phone", "use: phne")
    assert [problem.code for problem in problems_of(text)] == ["unknown-node-type", "unknown-upstream"]


@pytest.mark.fault(43)
def test_all_problems_of_a_file_are_reported_together_in_its_order():
    text, places = marked(
        """\
flowcore: 1
⟦nodse⟧: []
nodes:
  call:  {use: phone, with: {⟦prot⟧: 1, port: ⟦x⟧}}
  loud:  {use: filter, from: ⟦cal⟧, with: {window: ⟦120⟧}, ⟦queu⟧: {max: 1s}}
  party: {use: ⟦halvs⟧, from: loud, with: {a: *b⟧}}
""".replace("*b⟧", "⟦*b⟧")
    )
    problems = problems_of(text)
    assert [(p.position.line, p.position.column, p.position.length) for p in problems] == places
    assert [p.code for p in problems] == [
        "unknown-key",
        "unknown-field",
        "bad-value",
        "unknown-upstream",
        "unit-missing",
        "unknown-key",
        "unknown-node-type",
        "alias",
    ]


def test_good_graph_has_its_nodes_in_topological_order():
    lines = GOOD.splitlines(keepends=True)
    head, call, loud, party, agent, kept, light = (
        lines[a:b] for a, b in ((0, 3), (3, 4), (4, 5), (5, 6), (6, 7), (7, 13), (13, 14))
    )
    upside_down = "".join(head + light + kept + agent + party + loud + call)
    assert list(load_text(GOOD, registry=REGISTRY).nodes) == ["call", "loud", "party", "agent", "kept", "light"]
    assert list(load_text(upside_down, registry=REGISTRY).nodes) == ["call", "loud", "light", "party", "agent", "kept"]


def test_good_graph_holds_what_the_file_says():
    graph = load_text(GOOD, "g.yaml", registry=REGISTRY)
    loud, agent, kept = graph.nodes["loud"], graph.nodes["agent"], graph.nodes["kept"]
    assert loud.cls is Filter
    assert loud.config.window == Duration("100ms")
    assert loud.config.detector.level == Decibels(-40)
    assert (agent.queue.max, agent.queue.on_full) == (5.0, "drop_oldest")
    assert kept.cls is Store
    assert kept.on_error == "restart"
    assert [(entry.node, entry.port) for entry in kept.inputs] == [("agent", ""), ("party", "customer")]
    assert (kept.places["with.path"].line, kept.places["with.path"].column) == (12, 13)
    assert (graph.path, graph.source) == ("g.yaml", GOOD)


@pytest.mark.parametrize("written", ["no", "010", "2026-01-02", "12:30:45", ".nan", "0x1F", "1_000", "<<", "1e999"])
def test_what_other_yaml_readers_make_something_of_stays_text(written):
    text = CALL.replace("}", f", with: {{greeting: {written}}}}}") + LAMP
    assert load_text(text, registry=REGISTRY).nodes["call"].config.greeting == written


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm():
    text = "\ufeff" + GOOD.replace("\n", "\r\n")
    assert len(load_text(text, registry=REGISTRY).nodes) == 6
    [problem] = problems_of(text.replace("use: phone", "use: phon"))
    assert (problem.position.line, problem.position.column, problem.line[:8]) == (4, 17, "  call: ")


def test_file_that_is_not_there_or_not_text_is_a_problem(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"# caf\xe9\n")
    (tmp_path / "large.yaml").write_bytes(b"#" * (256 * 1024 + 1))
    (tmp_path / "good.yaml").write_text(GOOD)
    for name, code in (("none.yaml", "unreadable"), ("", "unreadable"), ("latin.yaml", "not-utf8")):
        with pytest.raises(GraphError, match=re.escape(f"error[{code}]")):
            load(tmp_path / name, registry=REGISTRY)
    with pytest.raises(GraphError, match=r"(?s)a file, and this is a folder.*name the files in it: .*\*\.yaml"):
        load(tmp_path, registry=REGISTRY)
    with pytest.raises(GraphError, match="256 KiB"):
        load(tmp_path / "large.yaml", registry=REGISTRY)
    assert len(load(tmp_path / "good.yaml", registry=REGISTRY).nodes) == 6
