"""Models in ONNX Runtime, which reports nothing to its makers."""

from __future__ import annotations

import os
from typing import Any


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


def open_session(model: bytes, **settings: Any) -> Any:
    """Load a model, which computes in the calling thread; ``settings`` are more `SessionOptions`. Raises `BadModel`."""
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # calls share the cores: idle threads would spin
    for name, value in settings.items():
        setattr(options, name, value)
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's errors have no other base
        raise BadModel(str(error)) from error
