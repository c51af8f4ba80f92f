"""What a SavedModel's signature says about a freeze: names for tensors, the input, the output."""

import re
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from freezing.graph.graph import Endpoint, Graph, base_type, output_types
from freezing.sources.source import Signature, Source

# How the names of outputs that hold scores read, the likeliest first.
_SCORES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (r"prob|softmax", r"score", r"logit", r"predict|output|logistic")
)


@dataclass(frozen=True, kw_only=True)
class Meant:
    """The signature that is meant; all of it empty where the source has none."""

    signature: Signature | None
    inputs: dict[str, str]  # by the signature's own name: the tensor
    outputs: dict[str, str]
    asked: bool = False  # whether the signature was named
    warnings: list[str] = field(default_factory=list)

    def tensor(self, graph: Graph, text: str) -> str:
        """Return the tensor that `text` means, which may be a node or a signature's own name.

        Where it is both, it is the signature's if that was named, else the node, with a warning.
        """
        name = text.strip()
        tensor = self.outputs.get(name) or self.inputs.get(name)
        if tensor is None:
            return text
        node = Endpoint.parse(name)
        if self.asked or node.node not in graph or node == Endpoint.parse(tensor):
            return tensor
        signature = self.signature.name if self.signature else ""
        self.warnings.append(
            f"'{name}' is a node, which was taken, and also what the signature '{signature}' calls "
            f"{tensor}. If that is meant, say {tensor}, or name the signature (--signature)."
        )
        return text

    def likely_output(self, graph: Graph) -> tuple[str, str] | None:
        """Return name and tensor of the output that holds scores, if it is clear which."""
        numbers = {
            name: text for name, text in self.outputs.items() if _dtype(graph, text).is_floating
        }
        if len(numbers) == 1:
            return next(iter(numbers.items()))
        for pattern in _SCORES:
            found = [name for name in numbers if pattern.search(name)]
            if len({numbers[name] for name in found}) == 1:
                return found[0], numbers[found[0]]
            if found:
                return None
        return None

    def only_input(self, graph: Graph) -> str | None:
        """Return the tensor that takes numbers, if the signature has only one."""
        numbers = {text for text in self.inputs.values() if not _is_text(_dtype(graph, text))}
        return next(iter(numbers)) if len(numbers) == 1 else None


def meant_signature(source: Source, asked: str | None, graph: Graph, warnings: list[str]) -> Meant:
    """Return the signature that was asked for, else the usual one.

    Where the usual one takes text alone (serialised examples, encoded images) and another one
    takes numbers, that one is taken.
    """
    chosen = next((one for one in source.signatures if one.name == asked), None)
    if chosen is None and source.signatures:
        chosen = source.signatures[0]
        direct = [one for one in source.signatures if _takes_numbers(graph, one)]
        if direct and chosen not in direct:
            warnings.append(
                f"The signature '{chosen.name}' takes text; '{direct[0].name}', which takes "
                "numbers, was used. If another is meant, name it with `signature` (--signature)."
            )
            chosen = direct[0]
    if chosen is None:
        return Meant(signature=None, inputs={}, outputs={})
    known = {
        side: {name: text for name, text in tensors.items() if Endpoint.parse(text).node in graph}
        for side, tensors in (("inputs", chosen.inputs), ("outputs", chosen.outputs))
    }
    return Meant(
        signature=chosen,
        inputs=known["inputs"],
        outputs=known["outputs"],
        asked=chosen.name == asked,
        warnings=warnings,
    )


def _takes_numbers(graph: Graph, signature: Signature) -> bool:
    """Whether the signature takes numbers and gives some that are no whole ones."""
    return any(not _is_text(_dtype(graph, text)) for text in signature.inputs.values()) and any(
        _dtype(graph, text).is_floating for text in signature.outputs.values()
    )


def _dtype(graph: Graph, text: str) -> Any:
    end = Endpoint.parse(text)
    types = output_types(graph.nodes[end.node]) if end.node in graph else None
    if not types or end.output >= len(types):
        return tf.variant
    return tf.as_dtype(base_type(types[end.output]))


def _is_text(dtype: Any) -> bool:
    return dtype in (tf.string, tf.variant)
