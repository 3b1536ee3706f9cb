"""The prepared graphs of Moonshine's models."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from nodes.speech.engines.moonshine_files import BASE, TINY
from nodes.speech.onnx_session import open_session
from tools.prompts import prompts

soxr = pytest.importorskip("soxr")
onnx = pytest.importorskip("onnx")
module = pytest.importorskip("nodes.speech.engines.moonshine_graphs")

LAYERS = 8  # of the encoder, and of the decoder
WORDS = 32768

pytestmark = pytest.mark.model


@pytest.mark.skipif(BASE.find() is None, reason="moonshine-cpp is for Linux on x86-64")
def test_the_weights_of_base_are_the_same_numbers():
    contents = BASE.read(BASE.find())[:2]
    graphs = module.prepare(*contents, [])
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


def test_the_graphs_of_tiny_compute_the_same_as_its_files():
    encoder, decoder, _ = TINY.read(TINY.find())
    samples = soxr.resample(prompts("p", "p")[0].samples, 8000, 16000)[np.newaxis] / np.float32(1 << 15)
    tokens = [1, 450, 338]
    everything = np.ones(samples.shape, np.int64)  # nothing is masked
    (hidden,) = open_session(encoder).run(None, {"input_values": samples, "attention_mask": everything})
    audio = {"encoder_hidden_states": hidden, "encoder_attention_mask": everything}
    wanted = list(logits(open_session(decoder), audio, tokens))

    graphs = module.prepare(encoder, decoder, [])
    session = open_session(graphs.encoder)
    names = [output.name for output in session.get_outputs()]
    audio = dict(zip(names, session.run(None, {"input_values": samples}), strict=True))
    found = list(logits(open_session(graphs.decoder), audio, tokens))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=0.05)
    assert np.ptp(wanted) > 10


def logits(session: Any, audio: dict[str, Any], tokens: list[int]) -> Iterator[np.ndarray]:
    """Yield the scores after each of the tokens."""
    inputs = {value.name: value.shape for value in session.get_inputs()}
    empty = {name: np.zeros((1, shape[1], 0, shape[3]), np.float32) for name, shape in inputs.items() if "past" in name}
    known = empty | audio
    for number, token in enumerate(tokens):
        given = known | {"input_ids": np.array([[token]]), "use_cache_branch": np.array([number > 0])}
        results = session.run(None, {name: given[name] for name in inputs})
        yield results[0][0, -1]
        for output, result in zip(session.get_outputs()[1:], results[1:], strict=True):
            if number == 0 or ".decoder." in output.name:  # the branch for later steps gives nothing else
                known[output.name.replace("present", "past_key_values")] = result
