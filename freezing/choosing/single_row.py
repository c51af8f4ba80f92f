"""Outputs that hold the answer to one image of a batch only, such as `softmax[0]`.

As many numbers as there are classes have the shape of as many images with one number each. The
row is seen for what it is by its fixed length, while a batch may have any.
"""

from collections.abc import Sequence

import tensorflow as tf

from freezing.graph.graph import Endpoint, Graph

_HANDING_ON = frozenset({"Identity", "StopGradient", "CheckNumerics"})
_FIRST_OR_LAST = (0, -1)  # of one image, both are its row


def is_one_row(taken: Sequence[int | None] | None, given: Sequence[int | None] | None) -> bool:
    """Whether an output of the shape `given` has no side for the images that the input takes."""
    if not taken or taken[0] is not None or given is None:
        return False
    return len(given) == 1 and given[0] is not None and len(taken) > 1


def whole_of_row(graph: Graph, end: Endpoint) -> Endpoint | None:
    """Return the tensor with a row for each image, of which `end` is the first or last one.

    None where `end` is made in another way.
    """
    node = graph.nodes[end.node]
    while node.op in _HANDING_ON:
        end = graph.data_inputs(end.node)[0]
        node = graph.nodes[end.node]
    ends = graph.data_inputs(end.node)
    if node.op == "StridedSlice":
        attr = node.attr
        picks = attr["shrink_axis_mask"].i == 1 and not attr["new_axis_mask"].i
        begin, finish = (_numbers(graph, one) for one in ends[1:3])
        others_whole = attr["begin_mask"].i & attr["end_mask"].i | 1 == (1 << len(begin)) - 1
        whole = len(begin) == 1 or others_whole or attr["ellipsis_mask"].i > 1
        is_it = bool(begin) and bool(finish) and begin[0] in _FIRST_OR_LAST
        return ends[0] if picks and whole and is_it else None
    if node.op in ("GatherV2", "Gather"):
        axis = _numbers(graph, ends[2]) if len(ends) > 2 else [0]
        place = _numbers(graph, ends[1])
        is_it = axis == [0] and len(place) == 1 and place[0] in _FIRST_OR_LAST
        return ends[0] if is_it and not _rank(graph, ends[1]) else None
    return None


def _numbers(graph: Graph, end: Endpoint) -> list[int]:
    node = graph.nodes[end.node]
    if node.op != "Const":
        return []
    return [int(value) for value in tf.make_ndarray(node.attr["value"].tensor).reshape(-1)]


def _rank(graph: Graph, end: Endpoint) -> int:
    return len(graph.nodes[end.node].attr["value"].tensor.tensor_shape.dim)
