"""The pages build as a site: no dead link, no page outside the index, nothing loaded from another host."""

import re
import subprocess
import sys

import pytest

from tests.support.live import ROOT

LOADED = re.compile(r"<(?:script|img|iframe)[^>]* src=[\"']?(\w+:[^\s\"'>]+)|<link[^>]* href=[\"']?(\w+:[^\s\"'>]+)")


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path):
    command = [sys.executable, "tools/build_site.py", tmp_path]
    build = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=100)
    assert (build.returncode, build.stderr) == (0, "")
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(list((ROOT / "docs").rglob("*.md")))
    assert not {page.name: found for page in pages if (found := LOADED.findall(page.read_text()))}
