"""What a freeze request means for a source: which part of its graph, with which input and values.

Everything that can be refused without running anything is refused here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt
import tensorflow as tf

from freezing.auditing.audit import refuse_unknown, refuse_unsafe
from freezing.choosing.candidates import output_candidates
from freezing.choosing.chooser import Chooser, NoOutputsError, clear_outputs
from freezing.choosing.image_size import fit_size
from freezing.choosing.inputs import Inputs, open_placeholders, refuse_unset
from freezing.choosing.non_image_inputs import why_no_images
from freezing.choosing.preprocessing_guess import Guess, guess_before
from freezing.choosing.single_row import is_one_row, whole_of_row
from freezing.choosing.statistics import Normalising, choose_statistics
from freezing.choosing.text_inputs import gives_bytes, refuse_text
from freezing.graph.attributes import make_explicit, strip_unknown_attributes
from freezing.graph.constants import as_array
from freezing.graph.cut import cut
from freezing.graph.graph import PLACEHOLDER_OPS, Endpoint, Graph
from freezing.graph.names import find_tensor
from freezing.graph.narrowing import narrow_input
from freezing.graph.soundness import refuse_damaged
from freezing.graph.training_dropout import turn_off_dropout
from freezing.running.reasons import reason
from freezing.sources.lookup_tables import Table
from freezing.sources.source import Loss, Source
from worker.contract.source_requests import FreezeRequest
from worker.errors import FreezeError
from worker.models.manifest import Tensor

__all__ = ["NoOutputsError", "Plan", "make_plan"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The part of a source to freeze."""

    graph: Graph  # with variables; the tensors that were set are placeholders
    input: Tensor
    outputs: list[Tensor]
    values: dict[str, npt.NDArray[Any]]  # by name of the placeholder that stands for what was set
    tables: Mapping[str, Table] = field(default_factory=dict)  # by their nodes in `graph`
    # Whether the input was, in the source, an image as it was decoded; None where none was.
    takes_bytes: bool | None = None
    before: Guess = field(default_factory=Guess)  # what scales pixels in front of the input
    unlike: str | None = None  # what the input takes instead of images, as far as that shows
    loss: Loss | None = None  # that the source was trained with, where it says so
    called: tuple[str, ...] = ()  # what signatures call the first output
    normalising: Normalising = field(default_factory=Normalising)
    as_trained: list[str] = field(default_factory=list)  # what of training was taken out
    warnings: list[str] = field(default_factory=list)


def make_plan(source: Source, request: FreezeRequest) -> Plan:
    """Decide what to freeze.

    Raises `UnknownNodeError` for names that are not in the graph, `UnsetPlaceholdersError`,
    `NoOutputsError`, `UnsafeGraphError`, `UnsupportedGraphError` and, for the rest, `FreezeError`.
    """
    whole = Graph(source.graph_def)
    refuse_damaged(whole)
    make_explicit(whole)
    warnings: list[str] = []
    chooser = Chooser(source, whole, request.signature, warnings)
    meant = chooser.meant
    outputs = _outputs(chooser, request.outputs, warnings)
    named = {
        text: find_tensor(whole, meant.tensor(whole, text), "input") for text in request.inputs
    }
    for end in named.values():
        refuse_text(whole, outputs, end)
    if len(set(named.values())) > 1:
        raise FreezeError(
            f"A served model takes one image, but {len(request.inputs)} inputs are named: keep "
            "one and give the others a value with `set` (--set)."
        )
    given = {text: find_tensor(whole, meant.tensor(whole, text), "set") for text in request.set}
    inputs = Inputs(ranked=[]) if named else chooser.inputs(outputs, list(given.values()))
    taken = inputs.clear
    if taken is not None and not _is_placeholder(whole, taken.end):
        named = {str(taken.end): taken.end}
        why = "; ".join(taken.reasons)
        warnings.append(
            f"No input was named; '{taken.end}' was chosen: {why}. If another is meant, name it "
            "with `inputs` (--input)."
        )
    part = cut(whole, outputs, [*named.values(), *given.values()])
    graph = part.graph
    for text, end in named.items():
        if not part.used(end):
            raise FreezeError(f"The outputs {_join(outputs)} do not depend on the input '{text}'.")
    for text in [text for text, end in given.items() if not part.used(end)]:
        warnings.append(f"The outputs do not depend on '{text}', which was set.")
        del given[text]
    refuse_unknown(graph)
    set_names = [part.placeholders[end] for end in given.values()]
    name = next((part.placeholders[end] for end in named.values()), "")
    candidates = open_placeholders(graph, set_names)
    refuse_unsafe(graph, source.tables)
    if not name:
        name = chooser.clear_input(inputs, outputs).end.node
        _drop_default(graph, name)
    narrow_input(graph, name)
    if request.preprocessing.size is None:
        fit_size(graph, name, [part.moved(end) for end in outputs], warnings)
    refuse_unset(graph, [other for other in candidates if other != name])
    warnings.extend(strip_unknown_attributes(graph, source.op_list))
    ends = [part.moved(end) for end in outputs]
    tensors = _rows(graph, name, ends, warnings)
    as_trained: list[str] = []
    normalising = choose_statistics(source, whole, part, outputs, name, request, as_trained)
    _turn_off_dropout(graph, ends, as_trained)
    warnings.extend(as_trained)
    values = {}
    for text, end in given.items():
        if not part.used(end):
            continue
        node = graph.nodes[part.placeholders[end]]
        values[node.name] = as_array(
            text,
            request.set[text],
            node.attr["dtype"].type,
            tf.TensorShape(node.attr["shape"].shape),
        )
    for new, text in ((name, text) for text in named if f"{name}:0" != _full(text)):
        warnings.append(f"The input '{text}' is called '{new}:0' in the frozen graph.")
    return Plan(
        graph=graph,
        input=tensors[0],
        outputs=tensors[1:],
        values=values,
        tables=source.tables,
        takes_bytes=next((gives_bytes(whole, end) for end in named.values()), None),
        before=next((guess_before(whole, end) for end in _inside(whole, named)), Guess()),
        unlike=why_no_images(graph, tensors[0], [tensor.name for tensor in tensors[1:]]),
        loss=source.loss,
        called=_called(source, outputs[0]),
        normalising=normalising,
        as_trained=as_trained,
        warnings=warnings,
    )


def _outputs(chooser: Chooser, names: Sequence[str], warnings: list[str]) -> list[Endpoint]:
    graph = chooser.graph
    if names:
        found = [
            find_tensor(
                graph, chooser.meant.tensor(graph, text), "output", lambda: output_candidates(graph)
            )
            for text in names
        ]
        return list(dict.fromkeys(found))
    taken = clear_outputs(chooser.outputs())
    shown = " and ".join(f"'{one.end}' ({one.op})" for one in taken)
    why = "; ".join(taken[0].reasons)
    warnings.append(
        f"No output was named; {shown} was chosen: {why}. If another is meant, name it with "
        "`outputs` (--output)."
    )
    return [one.end for one in taken]


def _called(source: Source, end: Endpoint) -> tuple[str, ...]:
    """Return what signatures call a tensor."""
    named = [pair for one in source.signatures for pair in one.outputs.items()]
    return tuple(key for key, text in named if Endpoint.parse(text) == end)


def _rows(graph: Graph, name: str, ends: list[Endpoint], warnings: list[str]) -> list[Tensor]:
    """Return input and outputs, with a row for each image also where the first one has no such.

    Where the row of one image is picked from those of all, these are taken; else the input is made,
    in place, one that takes one image at a time.
    """
    tensors = _tensors(graph, [Endpoint(name, 0), *ends])
    if not is_one_row(tensors[0].shape, tensors[1].shape):
        return tensors
    row, whole = ends[0], whole_of_row(graph, ends[0])
    if whole is not None:
        tensors = _tensors(graph, [Endpoint(name, 0), whole, *ends[1:]])
        shape = tensors[1].shape
        if shape is not None and len(shape) > 1 and shape[0] is None:
            warnings.append(
                f"The output {row} is the row of one image of a batch: {whole}, from which it is "
                "picked and which has a row for each image, was chosen instead. If another is "
                "meant, name it with `outputs` (--output)."
            )
            return tensors
    graph.nodes[name].attr["shape"].shape.dim[0].size = 1
    warnings.append(
        f"The output {row} has no side for the images of a batch: it is run with one at a time."
    )
    return _tensors(graph, [Endpoint(name, 0), *ends])


def _inside(graph: Graph, named: dict[str, Endpoint]) -> list[Endpoint]:
    """Return those that stand for something that the source computes."""
    return [end for end in named.values() if not _is_placeholder(graph, end)]


def _is_placeholder(graph: Graph, end: Endpoint) -> bool:
    return graph.nodes[end.node].op in PLACEHOLDER_OPS


def _tensors(graph: Graph, ends: Sequence[Endpoint]) -> list[Tensor]:
    """Return the tensors with dtype and shape, as TensorFlow infers them from the graph."""
    with tf.Graph().as_default() as imported:
        try:
            tf.import_graph_def(graph.to_graph_def(), name="")
        except (ValueError, TypeError, tf.errors.OpError) as error:
            raise FreezeError(
                f"TensorFlow {tf.__version__} cannot read the part of the graph that the outputs "
                f"need: {reason(error)}."
            ) from error
        found = [imported.get_tensor_by_name(str(end)) for end in ends]
        return [
            Tensor(
                name=str(end),
                shape=None if tensor.shape.rank is None else tensor.shape.as_list(),
                dtype=tensor.dtype.base_dtype.name,
            )
            for end, tensor in zip(ends, found, strict=True)
        ]


def _drop_default(graph: Graph, name: str) -> None:
    """Make the input a plain placeholder if it has a default."""
    node = graph.nodes[name]
    if node.op == "PlaceholderWithDefault":
        node.op = "Placeholder"
        del node.input[:]


def _turn_off_dropout(graph: Graph, ends: Sequence[Endpoint], said: list[str]) -> None:
    names = turn_off_dropout(graph)
    if not names:
        return
    graph.keep(graph.ancestors([end.node for end in ends]))
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    said.append(
        f"Dropout was left on, as in training ('{names[0]}'{more}): it was turned off, as it is "
        "outside of training."
    )


def _full(text: str) -> str:
    return str(Endpoint.parse(text.strip()))


def _join(ends: Sequence[Endpoint]) -> str:
    return ", ".join(str(end) for end in ends)
