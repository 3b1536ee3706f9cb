"""Build the pages as a site: python tools/build_site.py [FOLDER]. Any warning of MkDocs is an error.

The pages are written to be read in the repository. They are staged in FOLDER/pages (FOLDER is build by default) in the
same folders, beside the files that they link to, with two changes: a link to a folder becomes plain text, and the file
name of a code block becomes its title. The site is FOLDER/site.

docs/README.md is the navigation: one section a heading, one page a link. A page that it does not link to is an error.
"""

import logging
import re
import shutil
import sys
from pathlib import Path

from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

ROOT = Path(__file__).parents[1]
INDEX = ROOT / "docs" / "README.md"
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
CODE_FILE = re.compile(r"^```(\w+) (\S+)$", re.MULTILINE)


def stage(page: Path, pages: Path) -> None:
    """Copy a page, and the files that it links to, to the same folders under ``pages``."""

    def link(found: re.Match[str]) -> str:
        target = (page.parent / found[2]).resolve()
        if target.is_dir():
            return found[1]
        if target.is_file() and target.suffix != ".md":
            copy(target, pages)
        return found[0]

    target = pages / page.relative_to(ROOT)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(CODE_FILE.sub(r'```\1 title="\2"', LINK.sub(link, page.read_text())))


def copy(file: Path, pages: Path) -> None:
    """Copy a file that is not a page."""
    target = pages / file.relative_to(ROOT)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, target)


def navigation() -> list[dict[str, list[str] | str]]:
    """Return the sections of the index and the pages that each links to, as MkDocs wants them."""
    _, *sections = re.split(r"^## (.*)$", INDEX.read_text(), flags=re.MULTILINE)
    found: list[dict[str, list[str] | str]] = []
    for title, text in zip(sections[::2], sections[1::2], strict=True):
        targets = [(INDEX.parent / path).resolve().relative_to(ROOT) for _, path, _ in LINK.findall(text)]
        found.append({title: [path.as_posix() for path in targets if path.suffix == ".md"]})
    return [{"Pages": INDEX.relative_to(ROOT).as_posix()}, *found]


def main(folder: Path) -> None:
    """Stage the pages and build the site."""
    pages = folder / "pages"
    shutil.rmtree(pages, ignore_errors=True)
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        stage(page, pages)
    for file in (ROOT / "docs").rglob("*"):
        if file.is_file() and file.suffix != ".md":
            copy(file, pages)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    settings = {"docs_dir": str(pages), "site_dir": str(folder / "site"), "nav": navigation()}
    config = load_config(str(ROOT / "mkdocs.yml"), strict=True, **settings)
    try:
        build(config)
    except Abort as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(Path(*sys.argv[1:] or [ROOT / "build"]).resolve())
