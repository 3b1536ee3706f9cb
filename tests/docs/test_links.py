"""Every page is in the index, every link has a target, and the README names every command."""

import re
from importlib.metadata import entry_points

import pytest

from flowcore.cli.commands import COMMANDS, GROUP
from tests.support.live import ROOT

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"(?<=\]\()[^)\s]+(?=\))|(?<=<img src=\")[^\"]+")


def links(page):
    """Yield the files and headings of this project that ``page`` links to; code contains no links."""
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(), flags=re.M | re.S)
    for target in LINK.findall(text):
        if not re.match(r"[a-z]+:", target):
            file, _, heading = target.partition("#")
            yield (page.parent / file).resolve() if file else page, heading


def headings(page):
    """Return the anchors of a page's headings, as GitHub makes them: lower case, hyphens for spaces, no punctuation."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for file, heading in links(page):
        assert file.exists(), f"{page.name} links to {file}"
        assert not heading or heading in headings(file), f"{page.name} links to {file.name}#{heading}"


def test_every_page_is_in_the_index():
    index = ROOT / "docs" / "README.md"
    missing = set(PAGES) - {file for file, _ in links(index)} - {index}
    assert not missing, f"add to docs/README.md: {sorted(page.name for page in missing)}"


def test_the_index_is_linked_from_the_readme():
    assert (ROOT / "docs" / "README.md", "") in set(links(ROOT / "README.md"))


def test_the_readme_names_every_command_and_no_other():
    text = (ROOT / "README.md").read_text()
    named = set(re.findall(r"^\|.*?`flowcore ([a-z]+)", text, re.M)) | set(re.findall(r", `flowcore ([a-z]+)`", text))
    own = {point.name for point in entry_points(group=GROUP) if point.value.startswith("nodes.")}
    assert named == set(COMMANDS) | own


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_target_that_a_page_names_exists(page):
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(), re.M)) <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_that_a_page_names_exists(page):
    named = re.findall(r"`((?:flowcore|nodes|tests|tools|graphs|docs)/[\w/.-]+)`", page.read_text())
    assert [path for path in named if not (ROOT / path).exists() and not re.search("NAME|NNNN|/env$", path)] == []


def test_architecture_names_every_folder():
    text = (ROOT / "docs" / "architecture.md").read_text()
    for package in ("flowcore", "nodes"):
        for folder in (ROOT / package).iterdir():
            if folder.is_dir() and folder.name != "__pycache__":
                assert f"`{folder.name}/`" in text, f"{package}/{folder.name} is not in docs/architecture.md"
