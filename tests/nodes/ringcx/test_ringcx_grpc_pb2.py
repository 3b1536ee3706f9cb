"""The generated message classes."""

import ast
import contextlib
import random
import re
import subprocess
import sys
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowcore import Packet
from nodes.ringcx import ringcx_grpc_pb2 as pb
from nodes.ringcx.call_state import MAX_BAD_IN_A_ROW, MIN_BAD_IN_ALL, Ignored, ProtocolError
from nodes.ringcx.dialog_sender import DialogSender
from nodes.ringcx.dialog_state import MAX_EARLY, MAX_SEGMENTS, DialogState, Note
from nodes.ringcx.messages import Start
from tests.support.live import ROOT


def test_the_generated_classes_are_those_of_the_proto(tmp_path):
    """Whatever compiler made them: if this fails, run `make proto`."""
    name = "nodes/ringcx/ringcx_grpc"
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "grpc_tools.protoc",
        "-I.",
        f"--python_out={tmp_path}",
        f"{name}.proto",
    ]
    subprocess.run(command, cwd=ROOT, check=True)

    def described(path):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        (made,) = (call for call in calls if getattr(call.func, "attr", "") == "AddSerializedFile")
        return ast.literal_eval(made.args[0])

    assert described(tmp_path / f"{name}_pb2.py") == described(ROOT / f"{name}_pb2.py")


def test_the_project_asks_for_a_protobuf_that_runs_the_generated_classes():
    written = re.search(
        r"Protobuf Python Version: (\d+)\.(\d+)", (ROOT / "nodes/ringcx/ringcx_grpc_pb2.py").read_text()
    )
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    major, minor = map(int, written.groups())
    assert f"protobuf>={major}.{minor},<{major + 2}" in asked
