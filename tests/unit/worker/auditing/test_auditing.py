"""The audit of files that are to be served, graphs and ONNX models, as a worker makes it."""

from collections.abc import Callable
from typing import Any

import onnx
import pytest
import tensorflow as tf
from onnx import TensorProto, helper

from worker.auditing.graph_def import ForbiddenModelError, audit_graph
from worker.auditing.onnx_model import audit_onnx, parse

v1 = tf.compat.v1


def graph_with(*ops: str) -> Any:
    graph_def = v1.GraphDef()
    graph_def.node.add(name="x", op="Placeholder")
    for number, op in enumerate(ops):
        graph_def.node.add(name=f"n{number}", op=op, input=["x"])
    return graph_def


def add_function(graph_def: Any, name: str, *ops: str) -> Any:
    function = graph_def.library.function.add()
    function.signature.name = name
    for number, op in enumerate(ops):
        function.node_def.add(name=f"n{number}", op=op)
    return function


def test_what_images_are_classified_with_is_counted() -> None:
    graph_def = graph_with("Conv2D", "Conv2D", "PartitionedCall")
    add_function(graph_def, "inner", "Relu")
    found = audit_graph(graph_def)
    assert (found.nodes, found.functions) == (4, 1)
    assert found.ops == {"Placeholder": 1, "Conv2D": 2, "PartitionedCall": 1, "Relu": 1}


def _by_itself(graph_def: Any) -> None:
    graph_def.node.add(name="w", op="WriteFile")


def _in_a_function_of_a_function(graph_def: Any) -> None:
    outer = add_function(graph_def, "outer", "PartitionedCall")
    outer.node_def[0].attr["f"].func.name = "inner"
    add_function(graph_def, "inner", "PyFunc")


def _in_a_function_that_nothing_calls(graph_def: Any) -> None:
    add_function(graph_def, "idle", "ReadFile")


def _by_an_attribute(graph_def: Any) -> None:
    graph_def.node.add(name="p", op="PrintV2").attr["output_stream"].s = b"file:///tmp/x"


def _by_a_function_that_stands_in(graph_def: Any) -> None:
    add_function(graph_def, "Relu", "Identity")


def _by_the_gradient_of_a_function(graph_def: Any) -> None:
    add_function(graph_def, "f", "Identity")
    graph_def.library.gradient.add(function_name="f", gradient_func="f")


def _by_a_handle(graph_def: Any) -> None:
    graph_def.node.add(name="c", op="Const").attr["value"].tensor.dtype = 20


def _by_a_circle(graph_def: Any) -> None:
    first = add_function(graph_def, "first", "PartitionedCall")
    first.node_def[0].attr["f"].func.name = "second"
    second = add_function(graph_def, "second", "PartitionedCall")
    second.node_def[0].attr["f"].list.func.add().attr["g"].func.name = "unknown"
    second.node_def[0].attr["h"].list.func.add(name="first")


def _by_a_variable(graph_def: Any) -> None:
    graph_def.node.add(name="v", op="VarHandleOp")


def _by_two_of_one_name(graph_def: Any) -> None:
    add_function(graph_def, "f", "Identity")
    add_function(graph_def, "f", "Relu")


FORBIDDEN: dict[Callable[[Any], None], str] = {
    _by_itself: "'w', an op of kind WriteFile, which reads or writes files",
    _in_a_function_of_a_function: "'n0' in the function 'inner', .*PyFunc, which runs Python",
    _in_a_function_that_nothing_calls: "in the function 'idle'",
    _by_an_attribute: r"writes a file \(its output_stream\)",
    _by_a_function_that_stands_in: "a function with the name of the op Relu",
    _by_the_gradient_of_a_function: "gradients",
    _by_a_handle: "handle of a resource",
    _by_a_circle: "function that calls itself",
    _by_a_variable: "VarHandleOp, which reads or changes a variable",
    _by_two_of_one_name: "two functions of one name",
}


@pytest.mark.parametrize("spoil", FORBIDDEN, ids=lambda spoil: spoil.__name__)
def test_a_graph_that_must_not_be_run_is_refused(spoil: Callable[[Any], None]) -> None:
    graph_def = graph_with("Relu")
    audit_graph(graph_def)
    spoil(graph_def)
    with pytest.raises(ForbiddenModelError, match=FORBIDDEN[spoil]):
        audit_graph(graph_def)


def test_a_function_with_the_name_of_any_op_is_refused_where_ops_are_known() -> None:
    graph_def = graph_with("Relu")
    add_function(graph_def, "WriteFile", "Identity")
    with pytest.raises(ForbiddenModelError, match="name of the op WriteFile"):
        audit_graph(graph_def, is_op=lambda name: name == "WriteFile")


# -- ONNX ---------------------------------------------------------------------------------------


def model_of(*nodes: Any, initializer: Any = (), **options: Any) -> Any:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([*nodes], "g", [x], [y], initializer=[*initializer])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], **options)


def tensor(**fields: Any) -> Any:
    return TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], **fields)


def elsewhere() -> Any:
    found = tensor(data_location=TensorProto.EXTERNAL)
    found.external_data.add(key="location", value="/etc/passwd")
    return found


def branch(*nodes: Any, initializer: Any = ()) -> Any:
    return helper.make_node(
        "If",
        ["x"],
        ["y"],
        then_branch=helper.make_graph([*nodes], "t", [], [], initializer=[*initializer]),
    )


RELU = helper.make_node("Relu", ["x"], ["y"])
FOREIGN = helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft")
ONNX_FORBIDDEN: dict[str, tuple[Any, str]] = {
    "another domain": (model_of(FOREIGN), "EPContext of the domain 'com.microsoft'"),
    "another domain in a branch": (model_of(branch(FOREIGN)), "EPContext"),
    "an op of no list": (model_of(helper.make_node("ImageDecoder", ["x"], ["y"])), "ImageDecoder"),
    "weights elsewhere": (model_of(RELU, initializer=[elsewhere()]), "in another file"),
    "weights elsewhere in a branch": (
        model_of(branch(RELU, initializer=[elsewhere()])),
        "in another file",
    ),
    "an attribute elsewhere": (
        model_of(helper.make_node("Constant", [], ["y"], value=elsewhere())),
        "in another file",
    ),
    "functions": (
        model_of(
            RELU,
            functions=[helper.make_function("d", "F", ["x"], ["y"], [RELU], [])],
        ),
        "functions",
    ),
}


def test_a_standard_model_is_counted() -> None:
    model = model_of(branch(RELU), RELU, initializer=[tensor(float_data=[1.0])])
    assert audit_onnx(parse(model.SerializeToString())) == {"If": 1, "Relu": 2}


@pytest.mark.parametrize("case", ONNX_FORBIDDEN)
def test_an_onnx_model_that_must_not_be_run_is_refused(case: str) -> None:
    model, words = ONNX_FORBIDDEN[case]
    with pytest.raises(ForbiddenModelError, match=words):
        audit_onnx(parse(model.SerializeToString()))


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ForbiddenModelError, match="no ONNX model"):
        parse(b"\xff\xff")


def test_every_operator_of_the_list_is_one_of_onnx() -> None:
    from worker.auditing.allowed_onnx_ops import SERVED

    known = {schema.name for schema in onnx.defs.get_all_schemas_with_history()}
    assert known >= SERVED
