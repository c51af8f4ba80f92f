"""Which tensor takes the images, and which placeholders still need a value."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from freezing.choosing.text_inputs import decoded_tensor
from freezing.graph.flow import DECODERS, PARSERS, Flow
from freezing.graph.graph import PLACEHOLDER_OPS, Endpoint, Graph, base_type
from freezing.graph.shapes import Shapes
from freezing.graph.suggestions import as_option, suggestions
from worker.errors import FreezeError

_CHANNELS = (1, 3, None)
_WORDS = {
    4: "height, width and channels, as images have",
    3: "as many numbers as a flat square image has",
    2: "as many sides as images without channels have",
    1: "a shape that is not known",
    0: "not the shape of images",
}


class UnsetPlaceholdersError(FreezeError):
    """Placeholders that the outputs need have no value."""

    code = "unset_placeholders"


@dataclass(kw_only=True)
class Input:
    """A tensor that may take the images."""

    end: Endpoint
    op: str
    likeness: int  # 0: not at all; 4: height, width and channels
    standing: int  # 0: named by the signature; 1: a placeholder; 2: inside the graph; 3: a default
    shape: Any = None  # tf.TensorShape
    dtype: str | None = None
    reasons: list[str] = field(default_factory=list)

    @property
    def takes_numbers(self) -> bool:
        """Whether it is a placeholder that takes numbers, if not those of images."""
        return self.op in PLACEHOLDER_OPS and self.dtype not in (None, "string")

    @property
    def key(self) -> tuple[int, int]:
        """By which candidates are compared, the best first."""
        return (-9, 0) if self.standing == 0 else (-self.likeness, self.standing)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What may take the images, likeliest first; placeholders that cannot come last."""

    ranked: list[Input]

    @property
    def usable(self) -> list[Input]:
        """Those that may take images at all."""
        return [one for one in self.ranked if one.likeness > 0 or one.standing == 0]

    @property
    def best(self) -> list[Input]:
        """Those that stand together at the top."""
        return [one for one in self.usable if one.key == self.usable[0].key]

    @property
    def clear(self) -> Input | None:
        """The only one at the top; where none takes images, the only one that takes numbers."""
        if not self.usable and len(self.ranked) == 1 and self.ranked[0].takes_numbers:
            return self.ranked[0]
        return self.best[0] if len(self.best) == 1 else None


def rank_inputs(
    flow: Flow,
    outputs: Sequence[Endpoint],
    given: Collection[Endpoint] = (),
    named: Collection[Endpoint] = (),
) -> Inputs:
    """Return the tensors that `outputs` are computed from and that may take the images.

    `given` are tensors that have a value; `named` is what a signature calls its only input that
    takes numbers, if there is one.
    """
    graph = flow.graph
    needed = graph.ancestors([end.node for end in outputs], stop={end.node for end in given})
    values = suggestions(graph, needed)
    entries = [
        end
        for end in dict.fromkeys([*named, *flow.inputs])
        if end.node in needed and end not in given and end.node not in values
    ]
    shapes = Shapes(graph, [end.node for end in entries])
    found = [_entry(flow, end, shapes, end in set(named)) for end in entries]
    if not any(one.likeness > 1 or one.standing == 0 for one in found):
        found += _behind_decoding(flow, outputs, entries)
    return Inputs(ranked=sorted(found, key=lambda one: one.key))


def choose_input(inputs: Inputs) -> Input:
    """Return the tensor that takes the images.

    Where none does, the only one that takes numbers. Raises `UnsetPlaceholdersError` where it is
    not clear which, and `FreezeError` where there is none.
    """
    if inputs.clear is not None:
        return inputs.clear
    if inputs.best:
        raise UnsetPlaceholdersError(
            f"Several placeholders may take the images: {_list(inputs.usable)}. Name one with "
            "`inputs` (--input) and give the others a value with `set` (--set)."
        )
    if inputs.ranked:
        raise FreezeError(
            f"None of the placeholders that the outputs need takes images: "
            f"{_list(inputs.ranked)}. Name the tensor that does with `inputs` (--input)."
        )
    raise FreezeError(
        "The outputs need no placeholder that could take images: name the tensor that does "
        "with `inputs` (--input)."
    )


def open_placeholders(graph: Graph, set_names: Collection[str]) -> list[str]:
    """Return the names of the placeholders that have no value."""
    return [
        node.name
        for node in graph
        if node.op in ("Placeholder", "PlaceholderV2") and node.name not in set_names
    ]


def refuse_unset(graph: Graph, names: Sequence[str]) -> None:
    """Raise `UnsetPlaceholdersError` where there are `names`, with a value for each to try."""
    if not names:
        return
    verb = "the placeholder" if len(names) == 1 else "the placeholders"
    shown = ", ".join(_show(graph.nodes[name]) for name in names)
    likely = suggestions(graph)
    known = [name for name in names if name in likely]
    hints = " ".join(as_option(name, likely[name]) for name in known)
    advice = f"Set {'it' if len(names) == 1 else 'them'}, for instance {hints}." if known else ""
    if len(known) < len(names):
        advice += (
            f"{' ' if advice else ''}An output that does not need labels or losses may be meant."
        )
    raise UnsetPlaceholdersError(f"The outputs also need {verb} {shown}. {advice}")


def _entry(flow: Flow, end: Endpoint, shapes: Shapes, named: bool) -> Input:
    node = flow.graph.nodes[end.node]
    if node.op in PLACEHOLDER_OPS:
        shape = tf.TensorShape(node.attr["shape"].shape if "shape" in node.attr else None)
        dtype = tf.as_dtype(base_type(node.attr["dtype"].type)).name
    else:
        shape, dtype = shapes.shape(end), shapes.dtype(end)
    likeness = _likeness(shape, dtype)
    reasons = [_WORDS[likeness]]
    if dtype is not None and not _is_number(dtype):
        reasons = [f"it takes {dtype}, not pixels"]
    elif flow.is_label(end) if end in flow.inputs else False:
        likeness, reasons = 0, ["only the training compares it with the answer: labels"]
    standing = 1
    if named:
        standing = 0
        reasons.insert(0, "an input of the signature")
    elif node.op == "PlaceholderWithDefault":
        standing = 3
        reasons.append("a placeholder with a default")
        likeness = likeness if likeness > 1 else 0
    elif node.op not in PLACEHOLDER_OPS:
        standing = 2
        reasons.append(f"given by {node.op}, which only training or a file has")
        if node.op in DECODERS | PARSERS:
            likeness, reasons = 0, [f"given by {node.op}, which the graph does itself"]
    return Input(
        end=end,
        op=node.op,
        likeness=likeness,
        standing=standing,
        shape=shape,
        dtype=dtype,
        reasons=reasons,
    )


def _behind_decoding(
    flow: Flow, outputs: Sequence[Endpoint], entries: Sequence[Endpoint]
) -> list[Input]:
    """Return the tensor behind the decoding of text, if all that the outputs need passes it."""
    graph = flow.graph
    texts = [end.node for end in entries if _holds_text(graph.nodes[end.node])]
    decoders = [end.node for end in entries if graph.nodes[end.node].op in DECODERS | PARSERS]
    # A decoder of a constant, for which encoded images were fed.
    starts = texts or decoders
    if len(starts) != 1:
        return []
    end = decoded_tensor(graph, outputs, starts[0])
    if end is None:
        return []
    shapes = Shapes(graph, [end.node])
    return [
        Input(
            end=end,
            op=graph.nodes[end.node].op,
            likeness=max(_likeness(shapes.shape(end), shapes.dtype(end)), 1),
            standing=2,
            shape=shapes.shape(end),
            dtype=shapes.dtype(end),
            reasons=[f"'{starts[0]}' takes text; {end}, behind its decoding, takes what it gives"],
        )
    ]


def _likeness(shape: Any, dtype: str | None) -> int:
    """Return how much a tensor looks like images: 0 not at all, 4 height, width and channels."""
    if dtype is not None and not _is_number(dtype):
        return 0
    if shape.rank is None:
        return 1
    sides = shape.as_list()
    if shape.rank == 4:
        return 4 if sides[3] in _CHANNELS or sides[1] in _CHANNELS else 0
    if shape.rank == 3:
        return 2
    if shape.rank == 2 and sides[1] is not None:
        return 3 if any(_is_square(sides[1], channels) for channels in (1, 3)) else 0
    return 0


def _is_number(dtype: str) -> bool:
    return dtype.startswith(("float", "bfloat", "int", "uint", "half", "double"))


def _is_square(length: int, channels: int) -> bool:
    pixels, rest = divmod(length, channels)
    return rest == 0 and pixels >= 16 and math.isqrt(pixels) ** 2 == pixels


def _holds_text(node: Any) -> bool:
    return node.op in PLACEHOLDER_OPS and node.attr["dtype"].type == tf.string.as_datatype_enum


def _list(inputs: Sequence[Input]) -> str:
    return ", ".join(f"{_name(one.end)} ({one.dtype or '?'} {one.shape})" for one in inputs)


def _name(end: Endpoint) -> str:
    return end.node if end.output == 0 else str(end)


def _show(node: Any) -> str:
    shape = tf.TensorShape(node.attr["shape"].shape if "shape" in node.attr else None)
    dtype: str = tf.as_dtype(node.attr["dtype"].type).name
    return f"{node.name} ({dtype} {shape})"
