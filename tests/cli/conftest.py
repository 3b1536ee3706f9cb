"""A package of nodes of someone else, installed as pip would, and the command line as its users call it."""

import sys
from dataclasses import dataclass

import pytest

from flowcore.cli import main
from flowcore.registry import available

FILES = {
    "acme-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n",
    "acme-1.0.dist-info/entry_points.txt": "[flowcore.nodes]\nacme = acme\nacme_echo = acme.more:Echo\n",
    "acme/__init__.py": "",
    "acme/sources/__init__.py": "",
    "acme/sources/acme_bell.py": '''
from typing import Any

from flowcore import Config, Format, Listener, node

class BellConfig(Config):
    text: str = "ding"
    """What to ring."""


@node("acme_bell")
class Bell(Listener[Any, BellConfig]):
    """Ring.

    Example::

        bell: {use: acme_bell, with: {text: "a text that makes this line longer than any terminal of a test is wide"}}
    """

    @classmethod
    def gives(cls, config):
        return Format("audio", "s16", 8000, "mono")

    async def run(self, host):
        pass
''',
    "acme/sinks/__init__.py": "",
    "acme/sinks/acme_shelf.py": '''
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from flowcore import Config, Duration, Sink, Size, Caps, node


class Box(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    size: Size = Size("64KiB")
    """How large."""


class ShelfConfig(Config):
    path: str
    """Where it stands."""

    count: int = Field(default=3, ge=1, le=9)
    """How many boxes."""

    keep: Duration = Duration("1h")
    """How long."""

    order: Literal["first", "last"] = "first"
    """Which one to open."""

    lid: float | None = None
    """Weight of a lid."""

    box: Box = Box()
    """Each of them."""


@node("acme_shelf")
class Shelf(Sink[Any, ShelfConfig]):
    """Keep sound in boxes, one
    beside the other.
    """

    caps = (Caps("audio", ("s16",), (8000, 16000)),)
    runs = "thread"

    def process(self, chunk):
        pass
''',
    "acme/transforms/__init__.py": "",
    "acme/sinks/acme_torn.py": "import no_such_module_at_all\n",
    "acme/more.py": '''
from flowcore import Demux, node

@node("acme_echo")
class Echo(Demux):
    """Send sound twice."""

    outputs = ("first", "second")

    @classmethod
    def gives(cls, config, given):
        return (given, given)

    def process(self, chunk, emits):
        pass
''',
}


@pytest.fixture
def acme(tmp_path, monkeypatch):
    """Nodes ``acme_bell``, ``acme_shelf``, ``acme_echo``, and ``acme_torn``, which cannot be imported."""
    for name, text in FILES.items():
        file = tmp_path / "site" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "site")
    available.cache_clear()
    yield
    available.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme"]:
        del sys.modules[name]


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def flowcore(capsys, monkeypatch):
    """Run a command line in this process: exit code, standard output, standard error."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(ended.value.code, captured.out, captured.err)

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return run
