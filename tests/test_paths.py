import re
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from flowcore import CannotStart, PathTemplate, Session
from flowcore.files import NewFile
from flowcore.paths import LocalPath, safe_name

ATTRIBUTES = ("call_id", "session_id", "ani", "sub_account_id", "x2")
PIECE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
STARTED = datetime(2026, 1, 2, 3, 4, 5)
HOSTILE = [
    *("", ".", "..", "...", "/", "//", "\\", "~", "~root", "*", "?", "|", ";", "$HOME", "`id`", "&&", "%2e%2e%2f"),
    *("../../etc", "..\\..\\etc", "/etc/passwd", "a/b", "a/../b", "a/../../b", "C:\\boot.ini", "file:///etc/passwd"),
    *("\0", "id\0.wav", "line\nfeed", "\r\n", "\x1b[2J", "\u202egnp.exe", "\u200b", "ünïcödé", "\ud800", "😀"),
    *("-rf", "--help", ".hidden", "CON", "con.txt", "nul", "LPT1", "a" * 300, "." * 300, "a." * 200, "x..y", "{flow}"),
]


def session(call_id: str) -> Session:
    return Session("20260102T030405-ab12", STARTED, {"call_id": call_id})


def is_harmless(name: str) -> bool:
    return bool(PIECE.fullmatch(name)) and ".." not in name and not re.match(r"(?i)(con|nul|lpt1)(\.|$)", name)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_id_is_one_harmless_piece_of_a_name(hostile):
    assert is_harmless(safe_name(hostile))


@given(st.text(st.characters()))
def test_any_id_is_one_harmless_piece_of_a_name(text):
    assert is_harmless(safe_name(text))


@given(st.from_regex(PIECE, fullmatch=True).filter(is_harmless))
def test_harmless_id_is_left_as_it_is(text):
    assert safe_name(text) == text or safe_name(text)[1:] == text[:63]  # the other device names of Windows get an x


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_id_stays_in_the_root(hostile, tmp_path):
    template = PathTemplate(f"{tmp_path}/calls/{{call_id}}/{{call_id}}.wav")
    path = template.resolve(session(hostile)).resolve()
    assert path.is_relative_to(tmp_path / "calls")
    assert len(path.relative_to(tmp_path).parts) == 3


@pytest.mark.fault(18)
@given(st.dictionaries(st.sampled_from(ATTRIBUTES), st.text(st.characters())))
def test_any_attributes_stay_in_the_root(attributes):
    fields = "/".join(f"{{{name}}}" for name in ATTRIBUTES)
    path = PathTemplate(f"/srv/calls/{fields}").resolve(Session("flow", STARTED, attributes))
    assert path.parts[:3] == ("/", "srv", "calls")
    assert [PIECE.fullmatch(part) is not None for part in path.parts[3:]] == [True] * len(ATTRIBUTES)


def test_fields_are_filled_in():
    template = PathTemplate("recordings/{started:%Y-%m-%d}/{flow}-{call_id}-{ani}.wav")
    assert template.resolve(session("77")) == Path("recordings/2026-01-02/20260102T030405-ab12-77-unknown.wav")
    assert PathTemplate("{started}.wav").resolve(session("77")) == Path("2026-01-02T03-04-05.wav")


@pytest.mark.fault(44)
def test_symbolic_link_out_of_the_root_is_refused(tmp_path):
    (tmp_path / "calls").mkdir()
    (tmp_path / "calls" / "77").symlink_to("/etc")
    template = PathTemplate(f"{tmp_path}/calls/{{call_id}}/x.wav")
    with pytest.raises(CannotStart, match=r"^path: .* leads out of .*: remove the symbolic link"):
        template.resolve(session("77"))


@pytest.mark.fault(44)
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{}.wav", "{} is not known: use {flow}, {started} or an attribute of the call"),
        ("{Caller}.wav", "{Caller} is not known"),
        ("{start.caller}.wav", "{start.caller} is not known"),
        ("{flow.__class__}.wav", "is not known"),
        ("{flow!r}.wav", "leave out !r"),
        ("{flow:>80}.wav", "only {started} takes a format"),
        ("{started:%Y/%m}/x.wav", "write {started:%Y-%m-%d}"),
        ("{started:{flow}}.wav", "write {started:%Y-%m-%d}"),
        ("{flow.wav", "is no path template"),
        ("calls/{flow}/../../x.wav", "climbs out"),
        ("calls/{flow}/", "names no file"),
        ("", "names no file"),
        ("a\0b", "names no file"),
        (7, "needs a path, like recordings/{flow}.wav"),
    ],
)
def test_wrong_template_is_refused_when_the_graph_is_read(text, says):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(PathTemplate).validate_python(text)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "text", ["s3://bucket/{flow}.wav", "https://example.com/x.wav", "gs://b/x.wav", " file:///x.wav"]
)
def test_url_is_refused_with_advice(text):
    with pytest.raises(
        ValidationError, match=r"is a URL, not a file of this machine: write to a local folder, and upload"
    ):
        TypeAdapter(PathTemplate).validate_python(text)
    with pytest.raises(ValidationError, match=r"is a URL, not a file of this machine: download it first"):
        TypeAdapter(LocalPath).validate_python(text)


@pytest.mark.fault(72)
@pytest.mark.parametrize("text", ["in/*.wav", "in/call?.wav", "**/x.wav"])
def test_a_pattern_is_refused_with_advice(text):
    with pytest.raises(ValidationError, match=r"is a pattern, not a file: write the path of one file"):
        TypeAdapter(LocalPath).validate_python(text)
    with pytest.raises(ValidationError, match=r"is a pattern, not a file: give each call's file a name with fields"):
        TypeAdapter(PathTemplate).validate_python(text)


@pytest.mark.parametrize("kind", [LocalPath, PathTemplate])
def test_a_folder_is_refused(kind):
    with pytest.raises(ValidationError, match=r"'in/' names no file: write for example recordings/"):
        TypeAdapter(kind).validate_python("in/")


@pytest.mark.parametrize("text", ["x[1].wav", "s3:/bucket/x.wav", "./a://b", "C:\\calls\\x.wav", "", "a b"])
def test_what_is_no_url_is_a_path(text):
    assert TypeAdapter(LocalPath).validate_python(text) == text


def test_local_path_is_text_or_a_path():
    assert TypeAdapter(LocalPath).validate_python(Path("a/b")) == "a/b"
    for wrong in (7, "a\0b"):
        with pytest.raises(ValidationError, match=r"needs a path, like|names no file"):
            TypeAdapter(LocalPath).validate_python(wrong)


def test_template_says_which_attributes_it_uses():
    assert PathTemplate("{flow}/{started:%Y}/{ani}-{call_id}-{ani}.wav").attributes == ["ani", "call_id"]


def test_the_authors_own_way_up_is_allowed():
    assert PathTemplate("../calls/{flow}.wav").root == Path("../calls")


@given(
    st.lists(
        st.sampled_from(["{flow}", "{started:%Y-%m-%d}", "{call_id}", "x", "a.b", ".wav", "/", "*", "[", "-2", "."])
    ),
    st.text("ab.*-2[/", max_size=6),
)
@pytest.mark.slow
def test_every_file_of_a_template_is_found_by_its_pattern(tmp_path_factory, pieces, call):
    folder = tmp_path_factory.mktemp("root")
    try:
        template = PathTemplate(f"{folder}/" + "".join(pieces))
    except ValueError:
        return
    session = Session("one-flow", datetime(2026, 1, 2), {"call_id": call})
    files = [NewFile(template.resolve(session), partial=partial) for partial in (False, False, True)]
    for file in files:
        file.close()
    found = {*template.root.glob(template.pattern), *template.root.glob(template.pattern + ".part")}
    assert {file.path for file in files} <= found


def test_a_pattern_goes_no_deeper_than_its_template():
    assert PathTemplate("a/b/{started:%Y}/{flow}{call_id}.wav").pattern == "*/*.wav"
    assert PathTemplate("one.wav").pattern == "one*.wav"
    assert PathTemplate("{flow}/both.wav").pattern == "*/both*.wav"
