"""The size of images for an input that leaves it open: what the layers behind it insist on.

A network that resizes its images itself gets them in that size at once, so that its own resizing
changes nothing. One with a fully connected layer, or with pooling over a fixed window, works with
few sizes only. Sizes that networks are made for are tried by inferring shapes, which runs nothing.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from freezing.choosing.preprocessing.channels import follow
from freezing.choosing.preprocessing.constant_values import Constants
from freezing.choosing.preprocessing.pixels import pixels_of
from freezing.graph.functions import inline_functions
from freezing.graph.graph import Endpoint, Graph
from freezing.graph.shapes import importable_part
from worker.errors import FreezeError

# Of inputs of well-known networks, ascending.
_SIZES = (28, 32, 48, 56, 64, 80, 96, 100, 112, 128, 144, 150, 160, 180, 192, 200, 208, 224, 227)
_LARGER = (229, 231, 240, 256, 260, 288, 299, 300, 320, 331, 352, 380, 384, 400, 416, 448, 480, 512)
_MOST_SIDE = 8192
_SIDE = {"NHWC": (1, 2, 3), "NCHW": (2, 3, 1)}  # places of height, width and channels


def fit_size(graph: Graph, name: str, outputs: Sequence[Endpoint], warnings: list[str]) -> None:
    """Give, in place, the placeholder `name` the size of images that alone fits, if one does.

    Sizes for which a last pooling takes in all that there is are preferred. Of neighbouring ones
    that all fit the largest is taken: networks round up to it.
    """
    node = graph.nodes[name]
    shape = tf.TensorShape(node.attr["shape"].shape)
    if shape.rank != 4:
        return
    sides = shape.as_list()
    layout = "NCHW" if sides[1] in (1, 3) and sides[3] not in (1, 3) else "NHWC"
    height, width, channels = _SIDE[layout]
    if sides[height] is not None or sides[width] is not None or sides[channels] not in (1, 3):
        return
    own = _own_size(graph, name, sides, outputs)
    if own is not None:
        sides[height], sides[width] = own
        node.attr["shape"].shape.CopyFrom(tf.TensorShape(sides).as_proto())
        warnings.append(
            f"The input {name} takes images of any size; the model resizes them itself, to "
            f"{own[0]}x{own[1]}, which they are resized to before it. If another size is meant, "
            "give it with `preprocessing.size` (--preprocessing)."
        )
        return
    part = importable_part(graph, graph.ancestors([end.node for end in outputs]))
    grades: dict[int, int] = {}
    for size in (*_SIZES, *_LARGER):
        tried = list(sides)
        tried[0], tried[height], tried[width] = sides[0] or 1, size, size
        grades[size] = _grade(part, name, tried, outputs)
    best = max(grades.values())
    if best == 0 or grades[_LARGER[-1]] > 0:
        return  # no size fits, or any
    fitting = max(size for size, grade in grades.items() if grade == best)
    sides[height] = sides[width] = fitting
    node.attr["shape"].shape.CopyFrom(tf.TensorShape(sides).as_proto())
    warnings.append(
        f"The input {name} does not say the size of images; the layers behind it need "
        f"{fitting}x{fitting}. If another is meant, say so with `preprocessing` (--preprocessing "
        f"'{{\"size\": [{fitting}, {fitting}]}}')."
    )


def _own_size(
    graph: Graph, name: str, sides: list[int | None], outputs: Sequence[Endpoint]
) -> tuple[int, int] | None:
    """Return height and width that the graph resizes its images to before its first layer."""
    part = graph.subgraph(graph.ancestors([end.node for end in outputs]))
    try:
        flat = inline_functions(part, [f"{name}:0", *(str(end) for end in outputs)])
    except FreezeError:
        return None
    layers = follow(flat, Endpoint(name, 0), pixels_of(sides))
    first = {one for layer in layers for one in layer.pixels.resizes[:1]}
    if len(first) != 1 or not all(layer.pixels.resizes for layer in layers):
        return None
    size = Constants(flat).numbers(flat.data_inputs(first.pop())[1])
    if size is None or len(size) != 2 or not all(0 < side <= _MOST_SIDE for side in size):
        return None
    return size[0], size[1]


def _grade(part: Any, name: str, sides: list[int | None], outputs: Sequence[Endpoint]) -> int:
    """Return 0 where the shapes behind the input do not go together, 2 where they do so best."""
    for node in part.node:
        if node.name == name:
            node.attr["shape"].shape.CopyFrom(tf.TensorShape(sides).as_proto())
    try:
        with tf.Graph().as_default() as imported:
            tf.import_graph_def(part, name="")
            shapes = [imported.get_tensor_by_name(str(end)).shape for end in outputs]
    except (ValueError, TypeError, KeyError, tf.errors.OpError):
        return 0
    if not all(not shape.rank or shape[0] in (None, sides[0]) for shape in shapes):
        return 0
    return 2 if all(_takes_in_all(op) for op in imported.get_operations()) else 1


def _takes_in_all(op: Any) -> bool:
    """Whether an average over a fixed window leaves nothing out, where it gives one number."""
    if op.type != "AvgPool" or op.get_attr("padding") != b"VALID":
        return True
    window, given, made = op.get_attr("ksize"), op.inputs[0].shape, op.outputs[0].shape
    places = (2, 3) if op.get_attr("data_format") == b"NCHW" else (1, 2)
    return all(made[place] != 1 or given[place] == window[place] for place in places)
