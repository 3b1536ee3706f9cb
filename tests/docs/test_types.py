"""The nodes that the pages and ``flowcore new`` start from pass ``mypy --strict``, which catches a misspelt field."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "flowcore" / "templates"
PAGE = (ROOT / "docs" / "first-node.md").read_text()


def mypy(folder, *files):
    """Return the errors of mypy in ``files`` of ``folder``, one per line."""
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", ROOT / ".mypy_cache", "--no-error-summary"]
    done = subprocess.run([*command, *files], cwd=folder, capture_output=True, text=True, env={"MYPYPATH": str(ROOT)})
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_first_node_passes_and_a_misspelt_field_is_caught(tmp_path):
    (code,) = re.findall(r"```python talk_time\.py\n(.*?)```", PAGE, re.DOTALL)
    assert code.count("self.config.above") == 1
    (tmp_path / "talk_time.py").write_text(code)
    (tmp_path / "misspelt.py").write_text(code.replace("self.config.above", "self.config.abov"))
    (wrong,) = mypy(tmp_path, "talk_time.py", "misspelt.py")
    assert re.match(r'misspelt\.py:\d+: error: "TalkTimeConfig" has no attribute "abov"; maybe "above"\?', wrong)


@pytest.mark.slow
def test_config_of_another_class_is_caught(tmp_path):
    code = (TEMPLATES / "my_listener.py").read_text()
    (tmp_path / "other.py").write_text(
        code.replace("def gives(cls, config: MyListenerConfig)", "def gives(cls, config: int)")
    )
    assert any('Argument 1 of "gives" is incompatible with supertype' in line for line in mypy(tmp_path, "other.py"))


@pytest.mark.slow
def test_templates_pass(tmp_path):
    names = [path.name for path in TEMPLATES.glob("my_*.py")]
    assert len(names) == 3
    for name in names:
        (tmp_path / name).write_text((TEMPLATES / name).read_text())
    assert mypy(tmp_path, *names) == []
