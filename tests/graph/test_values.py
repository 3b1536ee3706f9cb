"""What scalars mean, and `${NAME}`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcore.errors import GraphError
from flowcore.graph.load import load_text
from flowcore.graph.values import plain
from flowcore.registry import Entry
from tests.graph.nodes import GOOD, REGISTRY

SECRET = "s3cr3t 'value\""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[
            ("0", 0),
            ("-12", -12),
            ("+5", 5),
            ("1.5", 1.5),
            (".5", 0.5),
            ("3.", 3.0),
            ("1e3", 1000.0),
            ("-1.5E-2", -0.015),
        ],
        *[("true", True), ("False", False), ("null", None), ("~", None), ("", None)],
        *[(text, text) for text in ("no", "yes", "on", "010", "0x1F", "0o17", "1_000", "12:30", "2026-01-01", ".nan")],
        *[(text, text) for text in ("-.inf", "1e999", "1.2.3", "5ms", ".", "+", "9" * 30, "tRUE", "nan", "Infinity")],
    ],
)
def test_only_plain_numbers_booleans_and_null_are_not_text(text, value):
    assert plain(text) == value
    assert type(plain(text)) is type(value)


@given(st.integers(-(10**17), 10**17))
def test_every_integer_is_read_as_written(number):
    assert plain(str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_that_python_writes_is_read(number):
    assert plain(repr(number)) == number


def greeting(written, **environ):
    return load_text(GOOD.replace('"hello"', written), registry=REGISTRY, environ=environ).nodes["call"].config.greeting


def test_variable_is_replaced_by_what_the_environment_holds():
    assert greeting('"${WHO}"', WHO="agent") == "agent"
    assert greeting('"hi ${WHO}, ${WHO} ${X_1}"', WHO="you", X_1="!") == "hi you, you !"


def test_default_stands_for_what_is_missing_or_empty():
    assert greeting('"${WHO:-nobody}"') == "nobody"
    assert greeting('"${WHO:-nobody}"', WHO="") == "nobody"
    assert greeting('"${WHO:-}"') == ""
    assert greeting('"${WHO}"', WHO="") == ""


def test_doubled_dollar_is_the_text_itself():
    assert greeting('"$${WHO} costs 5$ {flow}"') == "${WHO} costs 5$ {flow}"


def test_value_of_a_variable_is_not_read_again():
    assert greeting('"${A}"', A="${B}") == "${B}"


def test_unquoted_variable_may_be_a_number():
    text = (
        GOOD.replace('{port: 3400, greeting: "hello"}', "\n      port: ${PORT}\n")
        .replace("{use: phone, with:", "\n    use: phone\n    with:")
        .replace("port: ${PORT}\n}", "port: ${PORT}\n")
    )
    assert load_text(text, registry=REGISTRY, environ={"PORT": "3500"}).nodes["call"].config.port == 3500


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("100ms", '"${SECRET}"'),
        ("100ms", '"10 ${SECRET}"'),
        ("-40dB", '"${SECRET}"'),
        ("3400", '"${SECRET}"'),
        ("5s", '"${SECRET}"'),
        ("{use: lamp,", '{use: picky, with: {device: "no ${SECRET}"},'),
        ('"x/{flow}.wav"', '"${SECRET}"\n      password: "${SECRET}"'),
    ],
)
def test_what_a_variable_holds_is_never_printed(old, new):
    with pytest.raises(GraphError) as caught:
        load_text(GOOD.replace(old, new), registry=REGISTRY, environ={"SECRET": SECRET})
    [problem] = caught.value.problems
    assert problem.code in ("bad-value", "unit-missing")
    assert "s3cr3t" not in str(problem)
    assert "s3cr3t" not in repr(problem)
    assert "${SECRET}" in str(problem)


def test_default_of_a_variable_is_no_secret():
    with pytest.raises(GraphError, match="'fast' is not a quantity"):
        load_text(GOOD.replace("100ms", '"${SPEED:-fast}"'), registry=REGISTRY, environ={})


def safe(key, **environ):
    entry = Entry("safe", "tests.graph.nodes", "Safe")
    text = f"flowcore: 1\nnodes:\n  call: {{use: safe, with: {{key: {key}}}}}\n  light: {{use: lamp, from: call}}\n"
    return load_text(text, registry={**REGISTRY, "safe": entry}, environ=environ).nodes["call"].config.key


@pytest.mark.parametrize("key", ["s3cr3t-of-mine", '"s3cr3t ${EMPTY:-of-mine}"', '"${EMPTY:-s3cr3t}"'])
def test_a_secret_that_stands_in_the_file_is_refused(key):
    with pytest.raises(GraphError, match=r"3:28: error\[open-secret\]: call \(safe\): key must not be written"):
        safe(key)


@pytest.mark.parametrize(
    ("key", "held"),
    [('"${KEY}"', "s3cr3t"), ('"a ${KEY}"', "a s3cr3t"), ('"${NONE:-}"', ""), ("null", None), ('""', "")],
)
def test_a_secret_comes_from_the_environment_or_not_at_all(key, held):
    found = safe(key, KEY="s3cr3t")
    assert (None if found is None else found.get_secret_value()) == held
    assert "s3cr3t" not in repr(found)
