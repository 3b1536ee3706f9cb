"""The prepared graphs of Moonshine base."""

from typing import Any

import numpy as np
import pytest

from nodes.speech.engines import moonshine_base

FILES = moonshine_base.folder() or pytest.skip("moonshine-cpp is for Linux on x86-64", allow_module_level=True)

onnx = pytest.importorskip("onnx")
module = pytest.importorskip("nodes.speech.engines.moonshine_graphs")

LAYERS = 8  # of the encoder, and of the decoder
WORDS = 32768

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def contents() -> list[bytes]:
    return [(FILES / name).read_bytes() for name in ("encoder_model.ort", "decoder_model_merged.ort")]


@pytest.fixture(scope="module")
def graphs(contents) -> Any:
    return module.prepare(*contents)


def test_the_weights_are_the_same_numbers(contents, graphs):
    floats = {name: values for content in contents for name, values in weights(module._to_onnx(content)).items()}
    compared = 0
    for graph in graphs:
        model = onnx.load_model_from_string(graph)
        constants = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "DynamicQuantizeMatMul":
                wanted = floats[node.input[1].removesuffix(".matrix")]
                matrix, scale, zero_point = (constants[name] for name in node.input[1:])
                found = (matrix.astype(int) - zero_point) * scale
                np.testing.assert_allclose(found, wanted.T if len(wanted) == WORDS else wanted, rtol=0, atol=1e-6)
                compared += 1
    assert compared == LAYERS * (6 + 2) + LAYERS * 8 + 1  # encoder, keys and values; decoder, words


def weights(model) -> dict[str, np.ndarray]:
    """The weights as floats, as the files compute them."""
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    found = {}
    for cast in model.graph.node:
        if cast.op_type == "Cast" and cast.input[0] in constants:
            scaled = next(node for node in model.graph.node if cast.output[0] in node.input)
            moved = next(node for node in model.graph.node if scaled.output[0] in node.input)
            scale, offset = constants[scaled.input[1]], constants[moved.input[1]]
            found[cast.input[0]] = constants[cast.input[0]].astype(np.float32) * scale + offset
    return found
