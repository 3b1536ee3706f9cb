"""Prepare the graphs of Moonshine base for ONNX Runtime, so that the weights stay 8-bit integers.

The files keep each weight as integers with one scale and zero point, and turn it into floats again in every step of the
decoder. Floats made once need 900 MB and are slow to read from memory. Here the products take the same integers
directly (``DynamicQuantizeMatMul``); only the activations are rounded, to 8 bits. Measurements: decision 36.

The decoder file holds two branches: the first step, and all later ones. The first one differs only in that it also
computes the keys and values of the audio. These products move to the end of the encoder, and the second branch does all
steps, the first one with an empty past.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from nodes.speech.onnx_session import import_onnxruntime, memory_file, open_session

HEADS, HEAD_WIDTH = 8, 52
MICROSOFT = "com.microsoft"
ATTENTION = "/model/decoder/layers.{}/encoder_attn/Softmax_output_0"
ALIGNMENT_LAYERS = (2, 4)
"""Layers with heads that look at the sound of their token: the best of 64 heads at the bounds of known words."""


class Graphs(NamedTuple):
    """Two ONNX models, serialised.

    ``encoder`` makes ``past_key_values.N.encoder.*`` from ``input_values``, s16 / 32768 at 16 kHz, (1, samples).
    ``decoder`` makes ``logits``, ``present.N.decoder.*``, and the attention of each of `ALIGNMENT_LAYERS` to the audio
    (1, heads, 1, frames), from ``input_ids`` (1, 1) and all ``past_key_values``.
    """

    encoder: bytes
    decoder: bytes


def prepare(encoder: bytes, decoder: bytes) -> Graphs:
    """Prepare ``encoder_model.ort`` and ``decoder_model_merged.ort`` of moonshine-cpp 0.1.4. Raises `BadModel`."""
    main = _to_onnx(decoder).graph
    choice = next(node for node in main.node if node.op_type == "If")
    main.node.remove(choice)
    later, first = (_Graph.of(main, attribute.g) for attribute in choice.attribute)  # then_branch, else_branch
    sound = _to_onnx(encoder).graph
    audio = _Graph.of(sound)
    results = audio.add_keys_and_values(first)
    steps = [result for result in choice.output if ".encoder." not in result]
    steps += [ATTENTION.format(layer) for layer in ALIGNMENT_LAYERS]
    return Graphs(audio.serialized(sound.input, results), later.serialized(main.input, steps))


def _to_onnx(model: bytes) -> Any:
    """Convert a model in ONNX Runtime's own format, in memory. Raises `BadModel`."""
    with memory_file() as path:
        open_session(
            model,
            graph_optimization_level=import_onnxruntime().GraphOptimizationLevel.ORT_DISABLE_ALL,
            optimized_model_filepath=path,
        )
        return onnx.load_model_from_string(Path(path).read_bytes())


class _Weight(NamedTuple):
    """A weight as the files have it: ``(integers + zero) * scale``."""

    name: str
    integers: NDArray[np.int8]
    zero: int
    scale: np.float32


class _Graph:
    """Nodes in order, and constants."""

    def __init__(self, nodes: list[Any], constants: Iterable[Any]) -> None:
        self.nodes = nodes
        self.constants = {constant.name: constant for constant in constants}
        self.makers = {name: node for node in nodes for name in node.output}

    @classmethod
    def of(cls, *graphs: Any) -> _Graph:
        """Join ``graphs``."""
        return cls(
            [node for graph in graphs for node in graph.node], [c for graph in graphs for c in graph.initializer]
        )

    def add_keys_and_values(self, first: _Graph) -> list[str]:
        """Append what the decoder's ``first`` step computes from the audio alone. Returns the names of the results."""
        self.constants["by_head"] = numpy_helper.from_array(np.array([0, 0, HEADS, HEAD_WIDTH]), "by_head")
        results = []
        for name in first.makers:
            if name.startswith("present.") and ".encoder." in name:
                product = first.makers[first.makers[first.makers[name].input[0]].input[0]]  # MatMul, Reshape, Transpose
                result = name.replace("present.", "past_key_values.")
                rows = [f"{result}.product", f"{result}.heads", result]
                self.constants |= {key: first.constants[key] for key in first._inputs(product.input[1])}
                self.nodes += [
                    *first.needed([product.input[1]]),
                    helper.make_node("MatMul", ["last_hidden_state", product.input[1]], rows[:1]),
                    helper.make_node("Reshape", [rows[0], "by_head"], rows[1:2]),
                    helper.make_node("Transpose", rows[1:2], rows[2:], perm=[0, 2, 1, 3]),
                ]
                results.append(result)
        self.makers = {name: node for node in self.nodes for name in node.output}
        return results

    def needed(self, results: Iterable[str]) -> list[Any]:
        """Return the nodes that ``results`` depend on, in order."""
        names, wanted = list(results), set()
        while names:
            name = names.pop()
            if name in self.makers and name not in wanted:
                wanted.update(self.makers[name].output)
                names += self.makers[name].input
        return [node for node in self.nodes if not wanted.isdisjoint(node.output)]

    def serialized(self, inputs: Sequence[Any], results: Sequence[str]) -> bytes:
        """Serialise the nodes that ``results`` depend on, with the weights as integers."""
        nodes = [new for node in self.nodes for new in self._with_integers(node)]
        nodes = _Graph(nodes, ()).needed(results)
        used = {name for node in nodes for name in node.input}
        graph = helper.make_graph(
            nodes,
            "moonshine",
            [value for value in inputs if value.name in used],
            [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in results],
            [constant for name, constant in self.constants.items() if name in used],
        )
        versions = [helper.make_opsetid("", 14), helper.make_opsetid(MICROSOFT, 1)]
        return bytes(helper.make_model(graph, opset_imports=versions, ir_version=10).SerializeToString())

    def _inputs(self, result: str) -> set[str]:
        """Return the constants that ``result`` depends on."""
        return {name for node in self.needed([result]) for name in node.input if name in self.constants}

    def _with_integers(self, node: Any) -> list[Any]:
        if node.op_type == "MatMul" and (product := self._product(node)):
            return [product]
        if node.op_type == "Gather" and (weight := self._weight(node.input[0])):
            return self._rows(node, weight)
        return [node]

    def _product(self, node: Any) -> Any:
        """Return ``node`` as a product with the integers; None if it is no product with a weight."""
        name = node.input[1]
        maker: Any = self.makers.get(name)
        transposed = maker is not None and maker.op_type == "Transpose"
        weight = self._weight(maker.input[0] if transposed else name)
        if weight is None:
            return None
        names = [f"{weight.name}.{kind}" for kind in ("matrix", "scale", "zero_point")]
        matrix = np.ascontiguousarray(weight.integers.T) if transposed else weight.integers
        for constant, value in zip(names, (matrix, weight.scale, np.int8(-weight.zero)), strict=True):
            self.constants[constant] = numpy_helper.from_array(np.array(value), constant)
        return helper.make_node("DynamicQuantizeMatMul", [node.input[0], *names], node.output, domain=MICROSOFT)

    def _rows(self, node: Any, weight: _Weight) -> list[Any]:
        """Return nodes that look rows of ``weight`` up and turn only these into floats."""
        result = node.output[0]
        values = {f"{weight.name}.scale": weight.scale, f"{weight.name}.offset": np.float32(weight.zero)}
        self.constants |= {name: numpy_helper.from_array(np.array(value), name) for name, value in values.items()}
        scale, offset = values
        return [
            helper.make_node("Gather", [weight.name, node.input[1]], [f"{result}.rows"]),
            helper.make_node("Cast", [f"{result}.rows"], [f"{result}.floats"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Add", [f"{result}.floats", offset], [f"{result}.moved"]),
            helper.make_node("Mul", [f"{result}.moved", scale], [result]),
        ]

    def _weight(self, name: str) -> _Weight | None:
        """Return the weight that ``name`` holds as floats: ``integers * scale + offset``."""
        constants = []
        for operation in ("Add", "Mul", "Cast"):
            maker = self.makers.get(name)
            if maker is None or maker.op_type != operation:
                return None
            name, *more = maker.input
            constants += more
        if name not in self.constants:
            return None
        offset, scale = (self._constant(constant)[0] for constant in constants)
        return _Weight(name, self._constant(name), round(float(offset / scale)), scale)

    def _constant(self, name: str) -> NDArray[Any]:
        return numpy_helper.to_array(self.constants[name])
