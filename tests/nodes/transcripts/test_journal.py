import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcore import Session, Text, Word
from flowcore.testing import SESSION
from nodes.transcripts import journal

HELLO = Text("agent", 1.25, 2.0, "hello\n\u2028", True, 3, 0.875, (Word("hello", 1.25, 2.0),), 0.5, "")
HEL = Text("agent", 1.25, 1.5, "hel", False, 3)
GAP = Text("customer", 3.0, 6.25, "", True, 0, gap="untranscribed")
CALL = (HEL, HELLO, GAP)


def written(path, *texts, tail=b""):
    path.write_bytes(journal.head(SESSION) + b"".join(map(journal.entry, texts)) + tail)
    return path


def test_what_is_written_is_read(tmp_path):
    found = journal.read(written(tmp_path / "j", *CALL, tail=journal.tail(12.5)), interim=True)
    assert found.head == journal.Head(SESSION.flow, SESSION.started, dict(SESSION.attributes))
    assert [tuple(text.__rich_repr__()) for text in found.events] == [tuple(text.__rich_repr__()) for text in CALL]
    assert (found.seconds, found.unreadable) == (12.5, 0)
    assert list(found.lags[True]) == [0.5]
    assert list(found.lags[False]) == []


def test_a_text_is_one_line_whatever_is_in_it():
    assert journal.entry(HELLO).count(b"\n") == 1
    assert journal.entry(HELLO).endswith(b"\n")


def test_times_are_to_the_millisecond():
    text = Text("a", 1.23456, 2.99999, "x", True, 0, 0.123456, (Word("x", 1.23456, 2.0),), 0.98765)
    assert journal.entry(text) == (
        b'{"track":"a","start":1.235,"end":3.0,"text":"x","final":true,"utterance":0,"confidence":0.123,'
        b'"words":[{"text":"x","start":1.235,"end":2.0}],"lag":0.988}\n'
    )


def test_without_its_last_line_it_was_cut_off(tmp_path):
    assert journal.read(written(tmp_path / "j", *CALL)).seconds is None


def test_interim_text_that_no_final_one_replaced_is_kept_as_it_was_last(tmp_path):
    cut = (Text("agent", 9, 9.5, "I", False, 4), Text("agent", 9, 10, "I see", False, 4), GAP)
    found = journal.read(written(tmp_path / "j", *CALL, *cut))
    assert [text.text for text in found.texts] == [HELLO.text, "", "", "I see"]
    assert found.events is found.texts


def test_interim_text_that_comes_after_its_final_one_means_nothing(tmp_path):
    assert [text.text for text in journal.read(written(tmp_path / "j", HELLO, HEL)).texts] == [HELLO.text]


@given(st.data())
def test_spoilt_lines_are_counted_and_cost_no_other_line(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "spoilt"
    texts = [Text("agent", n, n + 1, f"text {n}", True, n) for n in range(5)]
    lines = [journal.entry(text) for text in texts]
    bad = data.draw(st.sets(st.integers(0, 4)))
    for number in bad:
        spoilt = data.draw(st.sampled_from([b"\0" * 40, lines[number][:30], b"\xff{", b"[]", b'{"track":1}']))
        lines[number] = spoilt + b"\n"
    path.write_bytes(journal.head(SESSION) + b"".join(lines))
    found = journal.read(path)
    assert [text.text for text in found.texts] == [f"text {n}" for n in range(5) if n not in bad]
    assert found.unreadable == len(bad)


def test_a_line_that_a_power_cut_left_half_is_counted(tmp_path):
    path = written(tmp_path / "j", *CALL)
    path.write_bytes(path.read_bytes()[:-20])
    found = journal.read(path)
    assert ([text.text for text in found.texts], found.unreadable) == ([HELLO.text], 1)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\xff\xff", b'{"flow":1}\n', b"[[[["])
def test_another_file_is_no_journal(tmp_path, content):
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(journal.NotAJournal, match="does not begin like the journal of a transcript"):
        journal.read(tmp_path / "j")


def test_what_a_peer_says_of_its_call_is_cut_short():
    session = Session("flow", SESSION.started, {"call_id": "x" * 1000})
    assert len(journal.head(session)) < 400
