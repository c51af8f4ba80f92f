"""Graphs whose functions call themselves, or each other over and over: refused with a sentence.

Loading one crashes TensorFlow, or takes all memory; so none reaches it, whatever holds the graph.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from freezing.process import freeze, inspect
from freezing.sources.opening import open_source
from tests.unit.freezing.saved import v1
from worker.auditing.calls import MOST_DEPTH, why_endless
from worker.contract.source_requests import FreezeRequest, InspectionRequest
from worker.errors import PermafrostError, SourceError
from worker.models.registry import Registry
from worker.settings import Settings

FLOAT = tf.float32.as_datatype_enum
Calls = dict[str, list[str]]


def _call(node: Any, op: str, function: str) -> None:
    """Make a node call the function in one of the ways that there are."""
    node.op = op
    if op == function:
        return
    node.attr["T"].type = FLOAT
    field = {
        "PartitionedCall": "f",
        "StatefulPartitionedCall": "f",
        "RemoteCall": "f",
        "SymbolicGradient": "f",
        "MapDefun": "f",
        "If": "then_branch",
        "StatelessIf": "else_branch",
        "While": "body",
        "StatelessWhile": "cond",
        "For": "body",
    }.get(op)
    if field is not None:
        node.attr[field].func.name = function
    elif op == "Case":
        node.attr["branches"].list.func.add(name=function)
    else:
        node.attr["deep"].func.name = "other"
        node.attr["deep"].func.attr["inner"].func.name = function


def _graph(calls: Calls, op: str = "") -> Any:
    """Return a graph that calls the first function; `op` is how, "" for the function as an op."""
    graph = v1.GraphDef()
    graph.versions.producer = 1882
    image = graph.node.add(name="image", op="Placeholder")
    image.attr["dtype"].type = FLOAT
    for size in (-1, 4):
        image.attr["shape"].shape.dim.add(size=size)
    _call(graph.node.add(name="y", input=["image"]), op or next(iter(calls)), next(iter(calls)))
    for name, called in calls.items():
        function = graph.library.function.add()
        function.signature.name = name
        function.signature.input_arg.add(name="x", type=FLOAT)
        function.signature.output_arg.add(name="z", type=FLOAT)
        last = "x"
        for index, other in enumerate(called):
            node = function.node_def.add(name=f"n{index}", input=[last])
            _call(node, op or other, other)
            last = f"n{index}:z:0"
        end = function.node_def.add(name="end", op="Identity", input=[last])
        end.attr["T"].type = FLOAT
        function.ret["z"] = "end:output:0"
    return graph


_WAYS = (
    *("", "PartitionedCall", "StatefulPartitionedCall", "RemoteCall", "SymbolicGradient", "If"),
    *("StatelessIf", "While", "StatelessWhile", "Case", "For", "MapDefun", "UnheardOf"),
)
_CIRCLES: dict[str, Calls] = {
    "itself": {"f": ["f"]},
    "each other": {"f": ["g"], "g": ["h"], "h": ["f"]},
    "further down": {"f": ["g", "h"], "g": [], "h": ["i"], "i": ["h", "g"]},
}


def _doubling(count: int) -> Calls:
    names = [f"f{index}" for index in range(count)]
    return {
        name: [following, following]
        for name, following in zip(names, [*names[1:], ""], strict=True)
        if following
    } | {names[-1]: []}


def _chain(count: int) -> Calls:
    names = [f"f{index}" for index in range(count)]
    return {name: names[index + 1 : index + 2] for index, name in enumerate(names)}


@pytest.mark.parametrize("op", _WAYS)
@pytest.mark.parametrize("circle", _CIRCLES)
def test_functions_that_call_themselves_are_found(op: str, circle: str) -> None:
    found = why_endless(_graph(_CIRCLES[circle], op))
    assert found is not None
    assert "calls itself" in found


def test_the_gradient_of_a_function_may_not_lead_back_to_it() -> None:
    graph = _graph({"f": [], "g": ["f"]})
    assert why_endless(graph) is None
    graph.library.gradient.add(function_name="f", gradient_func="g")
    assert why_endless(graph) is None  # as the gradients of ordinary functions do
    _call(graph.library.function[0].node_def.add(name="s", input=["x"]), "SymbolicGradient", "f")
    assert "calls itself" in str(why_endless(graph))


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        (_doubling(40), "1,000,000 nodes"),
        (_doubling(3000), "deep"),
        (_chain(MOST_DEPTH + 1), "200 deep"),
        (_chain(50_000), "200 deep"),
        ({f"f{index}": [f"f{(index + 1) % 20_000}"] for index in range(20_000)}, "calls itself"),
    ],
)
def test_functions_without_measure_are_found(calls: Calls, said: str) -> None:
    assert said in str(why_endless(_graph(calls)))


def test_functions_in_measure_are_let_through() -> None:
    for calls in (_doubling(10), _chain(MOST_DEPTH - 1), {"f": ["g", "g"], "g": []}):
        assert why_endless(_graph(calls)) is None


def test_attributes_nested_without_an_end_are_found() -> None:
    graph = _graph({"f": []})
    value = graph.node[1].attr["deep"]
    for _ in range(60):
        value.func.name = "x"
        value = value.func.attr["inner"]
    assert "nested more than 30 deep" in str(why_endless(graph))


def _as_graph_def(folder: Path, graph: Any) -> Path:
    (folder / "model.pb").write_bytes(graph.SerializeToString())
    return folder / "model.pb"


def _as_text(folder: Path, graph: Any) -> Path:
    from google.protobuf import text_format  # type: ignore[import-untyped]  # has no stubs

    (folder / "model.pbtxt").write_text(text_format.MessageToString(graph))
    return folder / "model.pbtxt"


def _as_meta_graph(folder: Path, graph: Any) -> Path:
    meta = v1.MetaGraphDef()
    meta.graph_def.CopyFrom(graph)
    (folder / "model.meta").write_bytes(meta.SerializeToString())
    return folder / "model.meta"


def _as_saved_model(folder: Path, graph: Any) -> Path:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel(saved_model_schema_version=1)
    meta = saved.meta_graphs.add()
    meta.graph_def.CopyFrom(graph)
    meta.meta_info_def.tags.append("serve")
    signature = meta.signature_def["serving_default"]
    for ends, name in ((signature.inputs, "image"), (signature.outputs, "y")):
        ends[name].name = f"{name}:0"
        ends[name].dtype = FLOAT
    (folder / "saved").mkdir()
    (folder / "saved" / "saved_model.pb").write_bytes(saved.SerializeToString())
    return folder / "saved"


@pytest.mark.parametrize("write", [_as_graph_def, _as_text, _as_meta_graph, _as_saved_model])
@pytest.mark.parametrize("op", ["", "PartitionedCall", "StatelessWhile"])
def test_every_kind_of_source_is_looked_through(
    tmp_path: Path, write: Callable[[Path, Any], Path], op: str
) -> None:
    path = write(tmp_path, _graph(_CIRCLES["each other"], op))
    with pytest.raises(SourceError, match=r"calls itself \('f' -> 'g' -> 'h' -> 'f'\)"):
        open_source(path)


def test_text_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    deep = 'attr { key: "a" value { func { name: "f" ' * 2000 + "} } }" * 2000
    (tmp_path / "model.pbtxt").write_text(f'node {{ name: "x" op: "Const" {deep} }}')
    with pytest.raises(SourceError, match="nested too deeply"):
        open_source(tmp_path / "model.pbtxt")


def _freeze(path: Path, folder: Path, **common: Any) -> None:
    request = FreezeRequest.parse({"name": "endless", "outputs": ["y"]})
    freeze(request, path, registry=Registry(folder / "models"), job_id="job-1", **common)


def _inspect(path: Path, _: Path, **common: Any) -> None:
    inspect(InspectionRequest.parse({}), path, **common)


@pytest.mark.parametrize("action", [_freeze, _inspect], ids=lambda action: action.__name__)
def test_a_job_says_so_and_its_process_does_not_crash(
    tmp_path: Path, action: Callable[..., None]
) -> None:
    path = _as_graph_def(tmp_path, _graph(_CIRCLES["itself"]))
    (tmp_path / "work").mkdir()
    common = {"on_log": lambda _: None, "cancelled": lambda: False, "workdir": tmp_path / "work"}
    with pytest.raises(PermafrostError, match=r"calls itself \('f' -> 'f'\)") as error:
        action(path, tmp_path, settings=Settings(data=tmp_path), **common)
    assert error.value.code == "bad_source"
