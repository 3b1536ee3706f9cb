"""`--set node.key=value`: takes the place of the file's value, is checked in its stead, and is shown when wrong."""

import pytest

from flowcore.errors import GraphError
from flowcore.graph.load import load_text
from tests.graph.nodes import GOOD, REGISTRY


def loaded(*settings, text=GOOD, environ=None):
    return load_text(text, "g.yaml", settings, environ or {}, REGISTRY).nodes


def problems_of(*settings, text=GOOD, environ=None):
    with pytest.raises(GraphError) as caught:
        loaded(*settings, text=text, environ=environ)
    return caught.value.problems


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("call.port=3500", lambda n: n["call"].config.port == 3500),
        ("call.greeting=", lambda n: n["call"].config.greeting == ""),
        ("call.greeting=a: b # c", lambda n: n["call"].config.greeting == "a: b # c"),
        ("call.greeting=&a *b !c", lambda n: n["call"].config.greeting == "&a *b !c"),
        ("call.greeting=no", lambda n: n["call"].config.greeting == "no"),
        ("call.greeting='17'", lambda n: n["call"].config.greeting == "17"),
        ("kept.path={flow}.wav", lambda n: n["kept"].config.path == "{flow}.wav"),
        ("kept.path=a=b", lambda n: n["kept"].config.path == "a=b"),
        ("loud.window=250ms", lambda n: n["loud"].config.window == 0.25),
        ("loud.weights=[1, 2]", lambda n: n["loud"].config.weights == [1, 2]),
        ("loud.detector.level=-30dB", lambda n: n["loud"].config.detector.level == -30),
        ("loud.detector.level=-30dB", lambda n: n["loud"].config.detector.name == "energy"),
        ("agent.detector={name: x}", lambda n: n["agent"].config.detector.name == "x"),
        ("agent.detector.name=x", lambda n: n["agent"].config.detector.name == "x"),
        ("agent.queue.max=7s", lambda n: (n["agent"].queue.max, n["agent"].queue.on_full) == (7.0, "drop_oldest")),
        ("light.queue.on_full=fail", lambda n: n["light"].queue.on_full == "fail"),
    ],
)
def test_setting_takes_the_place_of_the_files_value(setting, value):
    assert value(loaded(setting))


def test_last_of_two_settings_wins():
    assert loaded("call.port=1", "call.port=2")["call"].config.port == 2


def test_setting_fills_an_empty_with():
    text = GOOD.replace('    with:\n      path: "x/{flow}.wav"\n', "    with:\n")
    assert loaded("kept.path=y", text=text)["kept"].config.path == "y"


def test_setting_is_checked_in_place_of_what_the_file_says():
    text = GOOD.replace("3400", "none")
    assert problems_of(text=text)[0].code == "bad-value"
    assert loaded("call.port=3400", text=text)["call"].config.port == 3400


def test_setting_reads_the_environment():
    assert loaded("call.greeting=${HI}", environ={"HI": "ho"})["call"].config.greeting == "ho"
    [problem] = problems_of("call.greeting=so ${HI}")
    assert (problem.code, problem.position.column, problem.position.length) == ("missing-variable", 24, 5)


@pytest.mark.parametrize(
    ("setting", "code", "under", "message"),
    [
        ("cal.port=1", "unknown-node", "cal", 'did you mean "call"?'),
        ("xyz.port=1", "unknown-node", "xyz", "the nodes are call, loud"),
        ("call.prot=1", "unknown-field", "prot", 'did you mean "port"?'),
        ("call.port=x", "bad-value", "x", "valid integer"),
        ("call.port=0", "bad-value", "0", "greater than or equal to 1"),
        ("loud.window=120", "unit-missing", "120", "write for example 120ms"),
        ("loud.detector.lvl=1", "unknown-field", "lvl", 'did you mean "level"?'),
        ("loud.detector.level=1", "unit-missing", "1", "-45dB"),
        ("loud.weights=[1, two]", "bad-value", "two", "valid number"),
        ("loud.window.deep=1s", "unit-missing", "window", "120ms"),
        ("agent.queue.min=1s", "unknown-field", "min", "it has max and on_full"),
        ("agent.queue=1s", "bad-setting", "agent.queue", "agent.queue.max=5s"),
        ("call.greeting={a: &x b}", "anchor", "&x b", "no use for it"),
        ("call", "bad-setting", "call", "node.key=value"),
        ("call=1", "bad-setting", "call=1", "node.key=value"),
        ("call..port=1", "bad-setting", "call..port=1", "node.key=value"),
        (".".join("a" * 30) + "=1", "bad-setting", ".".join("a" * 30) + "=1", "node.key=value"),
    ],
)
def test_wrong_setting_is_shown_with_a_caret(setting, code, under, message):
    [problem] = problems_of(setting)
    assert problem.code == code
    head, excerpt, caret, *_ = str(problem).split("\n")
    assert head.startswith(f"--set: error[{code}]: ")
    assert excerpt == f"     | --set {setting}"
    assert excerpt[caret.index("^") : caret.rindex("^") + 1] == under
    assert message in str(problem)


def test_settings_of_a_broken_node_add_no_problem():
    assert [p.code for p in problems_of("light.x=1", text=GOOD.replace("{use: lamp, from: loud}", "lamp"))] == [
        "bad-node"
    ]
    text = GOOD.replace('with: {port: 3400, greeting: "hello"}', "with: [1]")
    assert [p.code for p in problems_of("call.port=1", text=text)] == ["bad-with"]
    text = GOOD.replace('with: {port: 3400, greeting: "hello"}', "with: *x")
    assert [p.code for p in problems_of("call.port=1", text=text)] == ["alias"]
