"""Every error of the tree comes up where its text says, and carries its data."""

import errno

import pytest

from flowcore.cli.new import node as new_node
from flowcore.errors import (
    AccountingError,
    BadMessage,
    BrokenImport,
    CannotStart,
    FlowcoreError,
    GraphError,
    MissingExtra,
    NameClash,
    NodeFailed,
    Refused,
    Undeclared,
    UsageError,
    system_message,
)
from flowcore.graph.load import load_text
from flowcore.node import Extra
from flowcore.registry import Entry, from_file
from flowcore.testing import NodeHarness, run_plan, tone
from nodes.ringcx.messages import parse
from nodes.sinks.wav_file import WavFile
from tests.engine.nodes import Broken, Keep, Tones, plan, step


class Forgetful(Broken):
    """Says that its books balance, and forgets a chunk."""

    balanced = True

    def process(self, chunk, emit):
        pass


def graph_is_wrong(tmp_path):
    load_text("flowcore: 1\n")


def command_line_is_wrong(tmp_path):
    new_node("json", folder=tmp_path)


def file_cannot_be_imported(tmp_path):
    (tmp_path / "own.py").write_text("1 / 0\n")
    from_file(tmp_path / "own.py")


def name_is_taken(tmp_path):
    Entry("gate", "here", rival="there").load()


def package_is_missing(tmp_path):
    Extra("no_such_package", "extra").check("it")


def file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    WavFile.make_resource(WavFile.Config(path=f"{tmp_path}/file/{{flow}}.wav")).open()


def node_raises(tmp_path):
    result = run_plan(plan(step("call", Tones), step("odd", Broken, "call"), step("kept", Keep, "odd")))
    raise result.flows[0].failures[0]


class Crowd(Tones):
    """Lets the refusal of its second session through."""


def process_is_full(tmp_path):
    run_plan(plan(step("call", Crowd, sessions=2), step("kept", Keep, "call")), max_calls=1)


def message_is_wrong(tmp_path):
    parse(b"no JSON")


def audio_is_unaccounted_for(tmp_path):
    NodeHarness(Forgetful).push(*tone("100ms")).end()


class Chatty(Forgetful):
    """Tells what it does not declare."""

    def flush(self, emit):
        self.report.event("chatted", words=3)


def event_is_not_declared(tmp_path):
    NodeHarness(Chatty).end()


PRODUCED = {
    GraphError: (graph_is_wrong, lambda e: e.problems[0].code == "missing-nodes"),
    UsageError: (command_line_is_wrong, lambda e: "choose another name" in str(e)),
    BrokenImport: (file_cannot_be_imported, lambda e: e.trace == ("own.py:1, in <module>: 1 / 0",)),
    NameClash: (name_is_taken, lambda e: e.places == ("here", "there")),
    MissingExtra: (package_is_missing, lambda e: "pip install 'flowcore[extra]'" in str(e)),
    CannotStart: (file_cannot_be_written, lambda e: "file" in e.message),
    NodeFailed: (node_raises, lambda e: e.node == "odd" and isinstance(e.cause, ValueError)),
    Refused: (process_is_full, lambda e: e.reason == "busy" and e.retry_after > 0),
    BadMessage: (message_is_wrong, lambda e: e.reason == "not_json"),
    Undeclared: (event_is_not_declared, lambda e: 'events = (EventType("chatted"' in str(e)),
    AccountingError: (audio_is_unaccounted_for, lambda e: "0.1000" in str(e)),
}


@pytest.mark.parametrize("error", PRODUCED, ids=lambda error: error.__name__)
def test_the_error_comes_up_with_its_data(error, tmp_path):
    produce, right = PRODUCED[error]
    with pytest.raises(error) as caught:
        produce(tmp_path)
    assert right(caught.value)


def test_no_error_of_the_tree_is_left_out():
    own = {error for error in FlowcoreError.__subclasses__() if error.__module__ == "flowcore.errors"}
    assert own == set(PRODUCED)


def test_the_picture_of_the_tree_names_every_error():
    import flowcore.errors

    assert all(error.__name__ in (flowcore.errors.__doc__ or "") for error in PRODUCED)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/data/a.wav"), "No space left on device: /data/a.wav"),
        (OSError(errno.EPIPE, "Broken pipe"), "Broken pipe"),
        (OSError("no number"), "no number"),
    ],
)
def test_a_system_error_has_no_number(error, text):
    assert system_message(error) == text
