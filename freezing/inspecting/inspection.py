"""What is in a source, and what to freeze of it. Nothing of the source is run.

What would be frozen is decided by the code that freezes: the outputs and the input by `choice.py`,
the rest by planning the freeze that is suggested. What planning refuses stands among the findings,
so that a source that cannot be frozen can still be looked into.
"""

import math
from typing import Any

import tensorflow as tf

from freezing.auditing.audit import UnsupportedGraphError
from freezing.choosing.chooser import Chooser, clear_outputs
from freezing.choosing.inputs import Input, Inputs
from freezing.choosing.labels import known_labels
from freezing.choosing.plan import Plan
from freezing.choosing.ranking import Output, Outputs
from freezing.graph.attributes import make_explicit
from freezing.graph.flow import Flow
from freezing.graph.graph import PLACEHOLDER_OPS, Graph, base_type
from freezing.graph.soundness import refuse_damaged
from freezing.graph.suggestions import suggestions
from freezing.graph.weights import size_of
from freezing.inspecting import source_contents
from freezing.inspecting.advice import Adviser
from freezing.inspecting.findings import (
    about_the_plan,
    about_the_source,
    finding,
    in_order,
)
from freezing.running.orders import InspectionOrder
from freezing.running.steps import FreezeStep, Report
from freezing.sources.opening import open_source
from freezing.sources.source import Source
from worker.contract.source_requests import InspectionRequest
from worker.errors import FreezeError
from worker.models.inspection import (
    Candidate,
    Choice,
    FileFact,
    Inspection,
    PlaceholderValue,
    Predicted,
    SignatureFact,
)
from worker.sources.choice import SourceChoice

_MOST_CANDIDATES = 12
_MOST_FILES = 100


def inspect(report: Report, order: InspectionOrder) -> Any:
    """Look into the source as the order asks for it.

    Returns an `Inspection` as JSON. Raises `SourceError` where it cannot be opened.
    """
    request = order.request
    report.step(FreezeStep.READ)
    part = SourceChoice(
        signature=request.signature,
        checkpoint=request.checkpoint,
        allow_code=order.bounds.allow_code,
        reach=order.bounds.read,
    )
    source = open_source(order.source, part)
    report.log(f"Read the {source.kind_words} {source.name}: {len(source.graph_def.node)} nodes.")
    report.step(FreezeStep.INSPECT)
    return look_into(source, request).model_dump(mode="json")


def look_into(source: Source, request: InspectionRequest) -> Inspection:
    """Say what is in an opened source."""
    whole = Graph(source.graph_def)
    refuse_damaged(whole)
    make_explicit(whole)
    assumed: list[str] = []
    chooser = Chooser(source, whole, request.signature, assumed)
    flow = chooser.flow
    outputs = chooser.outputs()
    likeliest = outputs.ranked[0] if outputs.ranked else None
    inputs = chooser.inputs([likeliest.end] if likeliest else [])
    advice = Adviser(source, request, chooser, outputs, inputs).advise()
    remaining = advice.remaining
    used = flow.graph.ancestors([likeliest.end.node]) if likeliest else set()
    kept = set(remaining.nodes) if remaining is not None else used
    kept_graph = remaining if remaining is not None else whole.subgraph(used)
    predicted = _predicted(kept_graph, flow) if likeliest else None
    told: list[str] = []
    labels = source.labels
    if likeliest is not None and likeliest.shape and likeliest.shape[-1] is not None:
        labels = known_labels(source, likeliest.shape[-1], told)
    findings = [*about_the_source(source, flow, used, labels), *advice.findings]
    findings += [finding("labels", "note", text) for text in told]
    findings += [finding("assumed", "note", text) for text in assumed]
    unknown = source_contents.unknown_ops(whole, used)
    if any(one.needed for one in unknown):  # told one by one, with their packages
        findings = [one for one in findings if one.code != UnsupportedGraphError.code]
    findings += source_contents.about_unknown_ops(unknown)
    if advice.plan is not None and remaining is not None and predicted is not None:
        findings += about_the_plan(advice.plan, remaining, predicted.bytes)
    return Inspection(
        kind=source.kind,
        name=source.name,
        producer=source.producer,
        tensorflow=tf.__version__,
        bytes=source.bytes,
        files=[
            FileFact(name=file.name, bytes=file.stat().st_size)
            for file in source.files[:_MOST_FILES]
        ],
        nodes=len(whole),
        functions=len(whole.functions),
        signatures=[
            SignatureFact(name=one.name, method=one.method, inputs=one.inputs, outputs=one.outputs)
            for one in source.signatures
        ],
        labels=None if labels is None else len(labels),
        inputs=[_input(one, inputs.clear, advice.plan) for one in inputs.ranked[:_MOST_CANDIDATES]],
        outputs=[_output(one, outputs.clear) for one in outputs.ranked[:_MOST_CANDIDATES]],
        values=_values(whole, likeliest, inputs),
        parameters=source_contents.parameters(flow, kept_graph),
        dropped=source_contents.dropped(flow, kept),
        predicted=predicted,
        unknown_ops=unknown,
        findings=in_order(findings),
        preprocessing=advice.preprocessing,
        choice=_choice(chooser, outputs, inputs),
        freeze=advice.shown,
    )


def _predicted(graph: Graph, flow: Flow) -> Predicted:
    held = source_contents.held_weights(flow, graph)
    return Predicted(
        nodes=len(graph), parameters=sum(one.parameters for one in held), bytes=size_of(graph)
    )


def _output(one: Output, taken: Output | None) -> Candidate:
    return Candidate(
        name=str(one.end),
        op=one.op,
        dtype=one.dtype,
        shape=one.shape,
        reasons=one.reasons,
        chosen=one is taken,
    )


def _input(one: Input, taken: Input | None, plan: Plan | None) -> Candidate:
    shape = None if one.shape.rank is None else one.shape.as_list()
    if one is taken and plan is not None:
        shape = plan.input.shape  # with what the layers behind it demand
    return Candidate(
        name=str(one.end),
        op=one.op,
        dtype=one.dtype,
        shape=shape,
        reasons=one.reasons,
        chosen=one is taken,
    )


def _values(graph: Graph, output: Output | None, inputs: Inputs) -> list[PlaceholderValue]:
    """Return the placeholders beside the input that the likeliest output needs."""
    takes_images = {one.end.node for one in inputs.best}
    used = graph.ancestors([output.end.node], stop=takes_images) if output else set()
    likely = suggestions(graph, used)
    found = []
    for node in graph:
        if node.op not in PLACEHOLDER_OPS or node.name not in used or node.name in takes_images:
            continue
        shape = tf.TensorShape(node.attr["shape"].shape if "shape" in node.attr else None)
        value = likely.get(node.name)
        default = _default(graph, node)
        found.append(
            PlaceholderValue(
                name=node.name,
                dtype=tf.as_dtype(base_type(node.attr["dtype"].type)).name,
                shape=None if shape.rank is None else shape.as_list(),
                value=value,
                default=default,
                reason=_why(node, value, default),
            )
        )
    return found


def _why(node: Any, value: Any, default: Any) -> str:
    if default is not None or node.op == "PlaceholderWithDefault":
        return "it has a default, which is kept unless it is set"
    if value is None:
        return "no value is known for it: an output that does not need it may be meant"
    if isinstance(value, bool):
        return "it switches training, which is over"
    return "dropout lets everything through with it" if value else "training is over"


def _default(graph: Graph, node: Any) -> Any:
    if node.op != "PlaceholderWithDefault" or not node.input:
        return None
    source = graph.nodes.get(graph.data_inputs(node.name)[0].node)
    if source is None or source.op != "Const" or source.attr["value"].tensor.tensor_shape.dim:
        return None
    value = tf.make_ndarray(source.attr["value"].tensor)[()]
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    shown = value.item()
    return str(shown) if isinstance(shown, float) and not math.isfinite(shown) else shown


def _choice(chooser: Chooser, outputs: Outputs, inputs: Inputs) -> Choice:
    reasons: list[str] = []
    ends = [one.end for one in outputs.ranked[:1]]
    for refusing in (lambda: clear_outputs(outputs), lambda: chooser.clear_input(inputs, ends)):
        try:
            refusing()
        except FreezeError as error:
            reasons.append(error.message)
    taken = [outputs.clear] if outputs.clear else outputs.detections
    if not reasons and taken and inputs.clear:
        reasons = [*taken[0].reasons, *inputs.clear.reasons]
        return Choice(
            clear=True,
            input=str(inputs.clear.end),
            outputs=[str(one.end) for one in taken],
            reasons=reasons,
        )
    return Choice(
        clear=False,
        input=str(inputs.clear.end) if inputs.clear else None,
        outputs=[str(one.end) for one in outputs.best] if outputs.ranked else [],
        reasons=reasons,
    )
