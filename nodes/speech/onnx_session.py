"""Models in ONNX Runtime, which reports nothing to its makers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

VNNI = {"avx_vnni", "avx512_vnni"}  # flags in /proc/cpuinfo


class BadModel(Exception):
    """ONNX Runtime cannot run the model."""


def import_onnxruntime() -> Any:
    """Import ONNX Runtime with its telemetry off.

    Since 1.32 it sends events to Microsoft and writes an id of the device into the home directory, unless this variable
    is set before the first import. The variable also holds for the processes that this one starts.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


def open_session(model: bytes | str, sizes: Mapping[str, int] | None = None, **settings: Any) -> Any:
    """Load a model, which computes in the calling thread. Raises `BadModel`.

    ``model`` is its content, of which the session keeps a copy, or its path. ``sizes`` fix dimensions that the model
    leaves open, by name. ``settings`` are more `SessionOptions`.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # calls share the cores: idle threads would spin
    if not has_vnni():  # sums of 8-bit products would overflow; the setting costs 40 % more time
        options.add_session_config_entry("session.x64quantprecision", "1")
    for name, size in (sizes or {}).items():
        options.add_free_dimension_override_by_name(name, size)
    for name, value in settings.items():
        setattr(options, name, value)
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's errors have no other base
        raise BadModel(str(error)) from error


def has_vnni(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor has instructions for sums of 8-bit products (VNNI); False if it is not known."""
    try:
        return not VNNI.isdisjoint(cpuinfo.read_text().split())
    except OSError:
        return False


@contextmanager
def memory_file(content: bytes = b"") -> Iterator[str]:
    """Provide the path of a file in memory (Linux)."""
    file = os.memfd_create("model")
    try:
        path = f"/proc/self/fd/{file}"
        Path(path).write_bytes(content)
        yield path
    finally:
        os.close(file)
