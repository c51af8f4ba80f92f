"""A batch dimension that is fixed, made free: the graph takes any number of images at once.

The size stands in the placeholder, and was often written into shapes inside as well:
`reshape(x, [1, 1001])` becomes `reshape(x, [-1, 1001])`. That rows computed together are then the
rows computed alone, and the source's, is for verification to say.
"""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from freezing.choosing.plan import Plan
from freezing.graph.graph import Endpoint, Graph, const_node, make_identity
from freezing.graph.side_effects import inside_control_flow
from freezing.graph.stand_ins import is_large, with_stand_ins
from freezing.running.reasons import reason
from worker.errors import FreezeError
from worker.models.manifest import Tensor

_ADVICE = "Leave `batch` out (--batch keep) to serve it as it is, filled up to that size."
_INT32 = tf.int32.as_datatype_enum


class BatchNotFreeError(FreezeError):
    """The batch size is built into the graph."""

    code = "batch_not_free"

    def __init__(self, why: str) -> None:
        """Take the reason, a part of a sentence."""
        super().__init__(f"The batch dimension cannot be freed: {why}. {_ADVICE}")


def fixed_batch(plan: Plan) -> int | None:
    """Return the batch size that the input or, where it leaves it open, the first output has."""
    for tensor in (plan.input, plan.outputs[0]):
        if tensor.shape and tensor.shape[0] is not None:
            return tensor.shape[0]
    return None


def free_batch(graph: Graph, plan: Plan, batch: int) -> tuple[Tensor, list[Tensor]]:
    """Free, in place, the batch dimension of a frozen graph; return its input and outputs.

    `batch` is the size so far. Raises `BatchNotFreeError` where shapes forbid it.
    """
    if not plan.input.shape:
        raise BatchNotFreeError(f"the shape of the input {plan.input.name} is not known")
    name = Endpoint.parse(plan.input.name).node
    sides = plan.input.shape[1:]
    _set_shape(graph.nodes[name], [batch, *sides])
    before = _imported(graph)
    needing = graph.descendants([name]) - {name}
    if graph.has_control_flow:
        needing -= inside_control_flow(graph)  # a new constant would stand outside
    for node in [node for node in graph if node.name in needing]:
        _repair(graph, node, before, needing, batch)
    _set_shape(graph.nodes[name], [None, *sides])
    after = _imported(graph)
    tensors = [_tensor(after, tensor.name) for tensor in (plan.input, *plan.outputs)]
    first = tensors[1]
    if first.shape is not None and (not first.shape or first.shape[0] is not None):
        raise BatchNotFreeError(
            f"the output {first.name} would still have the shape {first.shape} for any number of "
            "images"
        )
    return tensors[0], tensors[1:]


def _imported(graph: Graph) -> Any:
    """Return the graph as TensorFlow infers its shapes."""
    seen = with_stand_ins(graph, [node.name for node in graph if is_large(node)])
    with tf.Graph().as_default() as imported:
        try:
            tf.import_graph_def(seen.to_graph_def(), name="")
        except (ValueError, TypeError, tf.errors.OpError) as error:
            raise BatchNotFreeError(reason(error)) from error
    return imported


def _tensor(imported: Any, name: str) -> Tensor:
    found = imported.get_tensor_by_name(name)
    shape = None if found.shape.rank is None else found.shape.as_list()
    return Tensor(name=name, shape=shape, dtype=found.dtype.base_dtype.name)


def _repair(graph: Graph, node: Any, before: Any, needing: set[str], batch: int) -> None:
    """Let a node that says how many images there are leave it open."""
    if node.op == "Reshape" and graph.inputs(node.name)[1].node not in needing:
        _open_reshape(graph, node, before, batch)
    elif node.op == "Squeeze":
        _keep_first(node, before)
    elif node.op == "StridedSlice" and batch == 1:
        _keep_image(graph, node, before)
    elif node.op == "Conv2DBackpropInput" and graph.inputs(node.name)[0].node not in needing:
        _count_images(graph, node, before)


def _open_reshape(graph: Graph, node: Any, before: Any, batch: int) -> None:
    operation = before.get_operation_by_name(node.name)
    taken, given = operation.inputs[0].shape, operation.outputs[0].shape
    if not (taken.is_fully_defined() and given.is_fully_defined()):
        raise BatchNotFreeError(f"what '{node.name}' reshapes has sides that are not known")
    sides = given.as_list()
    per_image = math.prod(taken.as_list()) // batch
    # Where only one side is left, the only image lost its dimension here.
    rest = sides if batch == 1 and len(sides) == 1 else sides[1:]
    row = math.prod(rest)
    if not sides or row == 0 or per_image % row:
        raise BatchNotFreeError(
            f"'{node.name}' reshapes {taken.as_list()} to {sides}, which mixes images"
        )
    node.input[1] = _add(graph, const_node(f"{node.name}/open_shape", [-1, *rest], _INT32))
    node.attr["Tshape"].type = _INT32


def _keep_first(node: Any, before: Any) -> None:
    """Let a Squeeze keep the dimension of images, also where it takes off all sides of 1."""
    sides = before.get_operation_by_name(node.name).inputs[0].shape
    if sides.rank is None or not sides.rank:
        raise BatchNotFreeError(f"what '{node.name}' squeezes has no known shape")
    axes = [axis % sides.rank for axis in node.attr["squeeze_dims"].list.i]
    if not axes:
        if not sides.is_fully_defined():
            raise BatchNotFreeError(f"what '{node.name}' squeezes has sides that are not known")
        axes = [axis for axis, side in enumerate(sides.as_list()) if side == 1]
    kept = [axis for axis in axes if axis != 0]
    if kept:
        node.attr["squeeze_dims"].list.i[:] = kept
    else:
        make_identity(node, Endpoint.parse(node.input[0]), node.attr["T"].type)


def _keep_image(graph: Graph, node: Any, before: Any) -> None:
    """Let `x[0]` of the only image stand for all images."""
    inputs = before.get_operation_by_name(node.name).inputs
    begin, strides = tf.get_static_value(inputs[1]), tf.get_static_value(inputs[3])
    masks = [node.attr[f"{name}_mask"].i for name in ("begin", "end", "ellipsis", "new_axis")]
    is_first = node.attr["shrink_axis_mask"].i == 1 and not any(masks)
    if not is_first or begin is None or list(begin) != [0] or list(strides) != [1]:
        return
    if inputs[0].shape.rank in (None, 1):
        return  # the first side of a shape, most likely
    make_identity(node, graph.data_inputs(node.name)[0], node.attr["T"].type)


def _count_images(graph: Graph, node: Any, before: Any) -> None:
    """Let a transposed convolution take the number of images from what it is given."""
    operation = before.get_operation_by_name(node.name)
    sizes = tf.get_static_value(operation.inputs[0])
    if sizes is None or len(sizes) != 4:
        return
    name = node.name
    shape = _node(graph, f"{name}/shape", "Shape", [node.input[2]])
    shape.attr["T"].type = node.attr["T"].type
    shape.attr["out_type"].type = _INT32
    ends = [
        _add(graph, const_node(f"{name}/{what}", [number], _INT32))
        for what, number in (("begin", 0), ("end", 1), ("stride", 1))
    ]
    count = _node(graph, f"{name}/images", "StridedSlice", [shape.name, *ends])
    count.attr["T"].type = count.attr["Index"].type = _INT32
    rest = _add(graph, const_node(f"{name}/rest", [int(size) for size in sizes[1:]], _INT32))
    axis = _add(graph, const_node(f"{name}/axis", 0, _INT32))
    joined = _node(graph, f"{name}/open_sizes", "ConcatV2", [count.name, rest, axis])
    joined.attr["N"].i = 2
    joined.attr["T"].type = joined.attr["Tidx"].type = _INT32
    node.input[0] = joined.name


def _node(graph: Graph, name: str, op: str, inputs: Sequence[str]) -> Any:
    node = tf.compat.v1.NodeDef(name=graph.unused_name(name), op=op, input=inputs)
    graph.nodes[node.name] = node
    return node


def _add(graph: Graph, node: Any) -> str:
    node.name = graph.unused_name(node.name)
    graph.nodes[node.name] = node
    return str(node.name)


def _set_shape(node: Any, sides: list[int | None]) -> None:
    node.attr["shape"].shape.CopyFrom(tf.TensorShape(sides).as_proto())
