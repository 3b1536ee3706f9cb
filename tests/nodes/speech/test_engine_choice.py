"""The field ``engine``: names that exist, configs that fit, and what is said of those that do not."""

from types import SimpleNamespace

import pytest
from pydantic import TypeAdapter, ValidationError

from flowcore import speech
from flowcore.errors import GraphError
from flowcore.graph.load import load_text
from nodes.speech.engine_choice import SpeechEngine
from tests.support.parrot import Parrot

ENGINE = TypeAdapter(SpeechEngine)


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(speech.available(), "parrot", SimpleNamespace(load=lambda: Parrot))


def broken() -> None:
    raise ModuleNotFoundError("No module named 'acme'")


def test_a_name_alone_is_the_engine_with_its_defaults():
    engine = ENGINE.validate_python("parrot")
    assert (engine.name, engine.cls, engine.config) == ("parrot", Parrot, Parrot.Config())
    assert engine.streams
    assert str(engine) == "parrot"
    assert isinstance(engine.make(), Parrot)
    assert not ENGINE.validate_python("moonshine").streams


def test_equal_choices_are_one_engine():
    plain, named, other = (
        ENGINE.validate_python(value)
        for value in ("parrot", {"use": "parrot", "most_words": 8}, {"use": "parrot", "most_words": 3})
    )
    assert plain == named != other
    assert hash(plain) == hash(named)
    assert ENGINE.validate_python(plain) is plain


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("parot", r'there is no speech engine "parot": did you mean "parrot"\?'),
        ("xyzzy", "there are .*moonshine, .*parrot"),
        ({"most_words": 3}, r"needs a name: write for example google or \{use: google\}"),
        (7, "needs a name"),
        ({"use": "parrot", "most_wrods": 3}, r'parrot has no such field: did you mean "most_words"\?'),
        ({"use": "parrot", "xyzzy": 3}, "it has most_words, times"),
        ({"use": "parrot", "most_words": "many"}, "valid integer"),
    ],
)
def test_a_wrong_engine_is_an_error_with_advice(value, said):
    with pytest.raises(ValidationError, match=said):
        ENGINE.validate_python(value)


def test_a_broken_package_is_named(monkeypatch):
    monkeypatch.setitem(
        speech.available(), "acme", SimpleNamespace(load=broken, module="acme_flowcore", value="acme_flowcore:Acme")
    )
    with pytest.raises(
        ValidationError, match="acme_flowcore cannot be imported: ModuleNotFoundError: No module named 'acme'"
    ):
        ENGINE.validate_python("acme")
    monkeypatch.setitem(speech.available(), "acme", SimpleNamespace(load=lambda: str, value="acme_flowcore:Acme"))
    with pytest.raises(ValidationError, match=r"acme_flowcore:Acme .* is not a flowcore"):
        ENGINE.validate_python("acme")


def test_a_graph_shows_the_place_of_what_is_wrong():
    graph = (
        "flowcore: 1\nnodes:\n  call: {use: ringcx}\n  ordered: {use: reorder, from: call}\n"
        "  text: {use: transcribe, from: ordered, with: {engine: {use: parrot, most_wrods: 3}}}\n"
        "  page: {use: console, from: text}\n"
    )
    with pytest.raises(GraphError) as error:
        load_text(graph)
    (problem,) = error.value.problems
    assert problem.line[problem.position.column - 1 :].startswith("3}")
    assert 'engine.most_wrods: parrot has no such field: did you mean "most_words"?' in problem.message


@pytest.mark.parametrize(
    ("engine", "fallback"),
    [("parrot", "parrot"), ("moonshine", "moonshine"), ("openai", "moonshine"), ("parrot", "openai")],
)
def test_only_an_engine_that_streams_falls_back_and_only_to_one_here(monkeypatch, engine, fallback):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-a-test")
    from nodes.transforms.transcribe import Transcribe

    with pytest.raises(ValidationError, match="fallback is an engine on this machine, for one that streams"):
        Transcribe.Config(engine=engine, fallback=fallback)
    assert Transcribe.Config(engine="parrot", fallback="moonshine").fallback.name == "moonshine"


def test_each_engine_gets_the_audio_it_wants():
    from nodes.transforms.transcribe import Transcribe

    accepted = {
        name: [str(takes) for takes in Transcribe.accepts(Transcribe.Config(engine=name))]
        for name in ("parrot", "moonshine")
    }
    assert accepted == {
        "parrot": ["audio mulaw 8 kHz tracks|stereo|mono"],
        "moonshine": ["audio s16 16 kHz tracks|stereo|mono"],
    }
