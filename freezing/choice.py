"""What a freeze takes where nothing is named; an inspection says the same in advance."""

from collections.abc import Collection, Sequence
from functools import cached_property

from freezing.candidates import Output, Outputs, rank_outputs
from freezing.flow import Flow
from freezing.graphs import Endpoint, Graph
from freezing.inputs import Inputs, rank_inputs
from freezing.sources.source import Source
from worker.errors import FreezeError


class NoOutputsError(FreezeError):
    """No output was named, and none is clearly meant."""

    code = "no_outputs"


class Chooser:
    """Ranks what a source could be frozen with; made once per source."""

    def __init__(self, source: Source, graph: Graph, signature: str | None) -> None:
        self._source = source
        self._signature = signature
        self.graph = graph

    @cached_property
    def flow(self) -> Flow:
        """What flows where; not worked out where everything is named."""
        return Flow(self.graph)

    def outputs(self) -> Outputs:
        """Return what may be the answer."""
        return rank_outputs(self.graph, self._source.signatures, self._signature, self.flow)

    def inputs(self, outputs: Sequence[Endpoint], given: Collection[Endpoint] = ()) -> Inputs:
        """Return what may take the images, for these outputs and with these tensors set."""
        return rank_inputs(self.flow, outputs, given, self._inputs_named_with(outputs))

    def _inputs_named_with(self, outputs: Sequence[Endpoint]) -> list[Endpoint]:
        """Return the inputs of the signature that is meant, or that the outputs belong to."""
        found: list[Endpoint] = []
        for signature in self._source.signatures:
            if self._signature:
                fits = signature.name == self._signature
            else:
                fits = set(outputs) <= set(_ends(signature.outputs))
            if fits:
                found += [end for end in _ends(signature.inputs) if end.node in self.graph]
        return list(dict.fromkeys(found))


def clear_output(outputs: Outputs) -> Output:
    """Return the output to take; raise `NoOutputsError` with the candidates where none is clear."""
    if outputs.clear is not None:
        return outputs.clear
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
        f"No output was named, and several may be meant: {names}. Name one with "
        "`outputs` (--output)."
    )


def shown(end: Endpoint) -> str:
    """Return a tensor's name as people write it: without the number of a first output."""
    return end.node if end.output == 0 else str(end)


def _ends(tensors: dict[str, str]) -> list[Endpoint]:
    return [Endpoint.parse(text) for text in tensors.values()]
