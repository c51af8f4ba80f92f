"""What a freeze takes where nothing is named; an inspection says the same in advance."""

import shlex
from collections.abc import Collection, Sequence
from functools import cached_property

import tensorflow as tf

from freezing.choosing.candidates import rank_outputs
from freezing.choosing.inputs import Input, Inputs, choose_input, rank_inputs
from freezing.choosing.ranking import Output, Outputs, is_row, shown
from freezing.choosing.signatures import meant_signature
from freezing.choosing.text_inputs import refuse_text
from freezing.graph.flow import Flow
from freezing.graph.functions import inline_functions
from freezing.graph.graph import Endpoint, Graph, called_functions
from freezing.graph.permitted import may_be_imported
from freezing.sources.source import Source
from worker.errors import FreezeError

_MOST = 12  # outputs in a sentence


class NoOutputsError(FreezeError):
    """No output was named, and none is clearly meant."""

    code = "no_outputs"


class Chooser:
    """Ranks what a source could be frozen with; made once per source.

    What was taken for granted about signatures is added to `warnings`.
    """

    def __init__(
        self, source: Source, graph: Graph, signature: str | None, warnings: list[str]
    ) -> None:
        self.graph = graph
        self.meant = meant_signature(source, signature, graph, warnings)
        meant = self.meant.signature
        self._signatures = [] if meant is None else [meant]
        self._signatures += [one for one in source.signatures if one is not meant]

    @cached_property
    def flow(self) -> Flow:
        """What flows where; not worked out where everything is named."""
        return Flow(self.graph)

    def outputs(self) -> Outputs:
        """Return what may be the answer."""
        likely = self.meant.likely_output(self.graph)
        preferred = None if likely is None else Endpoint.parse(likely[1])
        flat = self._flat()
        flow = self.flow if flat is self.graph else Flow(flat)
        return rank_outputs(flat, self._signatures, preferred, flow, known=self.graph.nodes)

    def inputs(self, outputs: Sequence[Endpoint], given: Collection[Endpoint] = ()) -> Inputs:
        """Return what may take the images, for these outputs and with these tensors set."""
        text = self.meant.only_input(self.graph)
        named = [] if text is None else [Endpoint.parse(text)]
        return rank_inputs(self.flow, outputs, given, named)

    def _flat(self) -> Graph:
        """Return what signatures and the last nodes need, with functions put in line.

        The graph itself where it calls none, or where TensorFlow cannot put them in line.
        """
        graph = self.graph
        called = called_functions(graph, graph.functions)
        if not called:
            return graph
        ends = [end for one in self._signatures for end in _tensors(one.outputs)]
        if not ends:
            consumers = graph.consumers()
            ends = [Endpoint(name, 0) for name in graph.nodes if not consumers[name]]
        inputs = [end for one in self._signatures for end in _tensors(one.inputs)]
        part = graph.subgraph(graph.ancestors([end.node for end in ends]))
        if not may_be_imported(part):
            return graph
        try:
            return inline_functions(
                part, [str(end) for end in [*ends, *inputs] if end.node in part]
            )
        except (FreezeError, ValueError, TypeError, tf.errors.OpError):
            return graph

    def clear_input(self, inputs: Inputs, outputs: Sequence[Endpoint]) -> Input:
        """Return the input to take; raise `FreezeError` with the candidates where none is clear."""
        if not inputs.usable:
            for one in inputs.ranked:
                refuse_text(self.graph, outputs, one.end)
        return choose_input(inputs)


def clear_outputs(outputs: Outputs) -> list[Output]:
    """Return what to take; raise `NoOutputsError` with the candidates where that is not clear.

    It is one output, or all that tell what a detector finds in an image.
    """
    if outputs.clear is not None:
        return [outputs.clear]
    if outputs.detections:
        return outputs.detections
    if not outputs.ranked:
        raise NoOutputsError("No output was named, and nothing in the graph looks like one.")
    names = ", ".join(shown(one.end) for one in outputs.best)
    if len(outputs.best) == 1:
        why = "; ".join(outputs.best[0].reasons)
        raise NoOutputsError(
            f"No output was named, and the likeliest, {names}, is no row of scores ({why}). Name "
            "one with `outputs` (--output)."
        )
    raise NoOutputsError(
        f"No output was named, and several may be meant: {names}. Name one with `outputs`: "
        f"{_options(outputs.best)}."
    )


def _options(best: Sequence[Output]) -> str:
    """Return what to type for each: `--output a` (4 numbers per image) or `--output b` (2 ...)."""
    said = []
    for one in best[:_MOST]:
        numbers = f" ({one.shape[1]} numbers per image)" if is_row(one.shape) and one.shape else ""
        said.append(f"`--output {shlex.quote(shown(one.end))}`{numbers}")
    more = f" or {len(best) - _MOST} more" if len(best) > _MOST else ""
    return " or ".join(said) + more


def _tensors(named: dict[str, str]) -> list[Endpoint]:
    return [Endpoint.parse(text) for text in named.values()]
