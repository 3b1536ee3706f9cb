"""Prepare the graphs of Moonshine for ONNX Runtime, so that the weights stay 8-bit integers.

The files of base keep each weight as integers with one scale and zero point, and turn it into floats again in every
step of the decoder. Floats made once need 900 MB and are slow to read from memory. Here the products take the same
integers directly (``DynamicQuantizeMatMul``), as those of tiny do already; only the activations are rounded, to 8 bits.
Measurements: decision 36.

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

MICROSOFT = "com.microsoft"
ATTENTION = "/model/decoder/layers.{}/encoder_attn/Softmax_output_0"


class Graphs(NamedTuple):
    """Two ONNX models, serialised.

    ``encoder`` makes ``past_key_values.N.encoder.*`` from ``input_values``, s16 / 32768 at 16 kHz, (1, samples).
    ``decoder`` makes ``logits``, ``present.N.decoder.*``, and the attention of some layers to the audio
    (1, heads, 1, frames), from ``input_ids`` (1, 1) and all ``past_key_values``.
    """

    encoder: bytes
    decoder: bytes


def prepare(encoder: bytes, decoder: bytes, layers: Iterable[int]) -> Graphs:
    """Prepare ``encoder_model.ort`` and ``decoder_model_merged.ort`` of a model. Raises `BadModel`.

    ``layers`` are the decoder's layers whose attention is wanted.
    """
    model = _to_onnx(decoder)
    main, opset = model.graph, next(one.version for one in model.opset_import if not one.domain)
    choice = next(node for node in main.node if node.op_type == "If")
    main.node.remove(choice)
    later, first = (_Graph.of(main, attribute.g) for attribute in choice.attribute)  # then_branch, else_branch
    sound = _to_onnx(encoder).graph
    audio = _Graph.of(sound)
    past = next(value for value in main.input if value.name.startswith("past_key_values"))
    heads, width = (dimension.dim_value for dimension in past.type.tensor_type.shape.dim[1::2])
    for graph, mask in ((audio, "attention_mask"), (later, "encoder_attention_mask")):
        graph.drop_mask(mask)
        graph.drop_padding()
    results = audio.add_keys_and_values(first, heads, width)
    steps = [result for result in choice.output if ".encoder." not in result]
    steps += [ATTENTION.format(layer) for layer in layers]
    return Graphs(audio.serialized(sound.input, results, opset), later.serialized(main.input, steps, opset))


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

    def drop_mask(self, mask: str) -> None:
        """Remove what is added to scores of attention to leave parts of the audio out: here all of it counts."""
        masked = {mask}
        for node in list(self.nodes):
            if node.op_type == "Add" and node.input[1] in masked:
                self._skip(node)
            elif not masked.isdisjoint(node.input):
                masked.update(node.output)

    def drop_padding(self) -> None:
        """Remove the zeros that widen the heads of attention for other processors, and their removal."""
        for node in list(self.nodes):
            if node.op_type == "Pad":
                self._skip(node)
            elif node.op_type == "Slice" and len(node.input) > 3:
                _, _, end, axes = (self.constants.get(name) for name in node.input[:4])
                if end and axes and self._constant(node.input[3]) == [3] and self._constant(node.input[2]) < [0]:
                    self._skip(node)

    def _skip(self, node: Any) -> None:
        """Replace a node by its first input."""
        same = helper.make_node("Identity", node.input[:1], node.output)
        self.nodes[self.nodes.index(node)] = self.makers[node.output[0]] = same

    def add_keys_and_values(self, first: _Graph, heads: int, width: int) -> list[str]:
        """Append what the decoder's ``first`` step computes from the audio alone. Returns the names of the results."""
        self.constants["by_head"] = numpy_helper.from_array(np.array([0, 0, heads, width]), "by_head")
        results = []
        for name in first.makers:
            if name.startswith("present.") and ".encoder." in name:
                product = first.makers[first.makers[first.makers[name].input[0]].input[0]]  # MatMul, Reshape, Transpose
                result = name.replace("present.", "past_key_values.")
                rows = [f"{result}.product", f"{result}.heads", result]
                kind, domain, weight = "MatMul", "", [product.input[1]]
                if product.op_type == "MatMulIntegerToFloat":
                    kind, domain, weight = "DynamicQuantizeMatMul", MICROSOFT, [product.input[at] for at in (1, 3, 5)]
                self.constants |= {key: first.constants[key] for name in weight for key in first._inputs(name)}
                self.nodes += [
                    *first.needed(weight),
                    helper.make_node(kind, ["last_hidden_state", *weight], rows[:1], domain=domain),
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

    def serialized(self, inputs: Sequence[Any], results: Sequence[str], opset: int) -> bytes:
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
        versions = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
        return bytes(helper.make_model(graph, opset_imports=versions, ir_version=10).SerializeToString())

    def _inputs(self, result: str) -> set[str]:
        """Return the constants that ``result`` depends on."""
        names = [result, *(name for node in self.needed([result]) for name in node.input)]
        return {name for name in names if name in self.constants}

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
