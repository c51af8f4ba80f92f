"""Which tensors of a graph look like its answer: ranked, and with the reason for the rank.

What a node is for decides, then how the network is built; a name only breaks ties, because two
answers with well-known names are still two answers.
"""

from collections.abc import Collection, Sequence

from freezing.choosing.graph_outputs import OutputFinder
from freezing.choosing.preferences import settle
from freezing.choosing.ranking import GOOD_NAME, Output, Outputs, Rank, is_row, name_rank, shown
from freezing.graph.content import Content
from freezing.graph.flow import Flow
from freezing.graph.graph import Endpoint, Graph
from freezing.graph.shapes import Shapes
from freezing.sources.source import Signature

_MOST = 8  # names in a sentence


def rank_outputs(
    graph: Graph,
    signatures: Sequence[Signature] = (),
    preferred: Endpoint | None = None,
    flow: Flow | None = None,
    known: Collection[str] | None = None,
) -> Outputs:
    """Return the candidates for the answer of a graph.

    Outputs of the first signature come before those of other signatures and what no signature
    names; then probabilities before logits before other ends before class numbers. Of several such
    outputs of a signature the one that is `preferred` for its name there is taken. A candidate that
    another one is computed from is left out.
    """
    flow = flow or Flow(graph)
    finder = OutputFinder(flow)
    found = {one.end: one for one in finder.candidates()}
    for number, signature in enumerate(signatures):
        for key, text in signature.outputs.items():
            end = Endpoint.parse(text)
            if end.node in graph:
                one = found.setdefault(end, finder.output(end))
                one.signature = min(one.signature, number, 1)
                one.names.append(f"output '{key}' of the signature '{signature.name}'")
    candidates = [one for one in found.values() if known is None or one.end.node in known]
    for one in candidates:
        one.reasons[:0] = one.names
    shapes = Shapes(graph, [one.end.node for one in candidates])
    candidates = [one for one in candidates if _describe(one, shapes)]
    _mark_inner(graph, candidates)
    settle(flow, candidates, preferred)
    place = {name: number for number, name in enumerate(graph.nodes)}
    candidates.sort(key=lambda one: (*one.standing, name_rank(one), place[one.end.node]))
    return Outputs(ranked=candidates)


def output_candidates(graph: Graph) -> list[str]:
    """Return names of the nodes that most likely are the graph's answer, for a sentence."""
    outputs = rank_outputs(graph)
    return [shown(one.end) for one in outputs.best[:_MOST]] if outputs.ranked else []


def _mark_inner(graph: Graph, candidates: Sequence[Output]) -> None:
    """Note of which candidates others are computed: parts of the network, and not its answer."""
    for other in candidates:
        if other.rank is Rank.DECISION:
            continue
        before = [end.node for name in other.sources for end in graph.data_inputs(name)]
        needed = graph.ancestors(before, control=False) if before else set()
        for one in candidates:
            if one is not other and other.signature <= one.signature and not one.inner:
                one.inner = bool(one.sources) and one.sources <= needed
                if one.inner:
                    one.reasons.append(f"{shown(other.end)} is computed from it by further layers")


def _describe(one: Output, shapes: Shapes) -> bool:
    """Note shape and dtype; False where it cannot be an answer, as a single number or text."""
    one.shape, one.dtype = shapes.sides(one.end), shapes.dtype(one.end)
    if one.dtype == "string" and one.signature == 2:
        return False  # such as the name of a file that was written
    is_found = one.content is Content.DETECTIONS
    if one.dtype is not None and "float" not in one.dtype and not is_found:
        one.rank = Rank.DECISION
        one.reasons.append(f"it holds {one.dtype}, not scores")
    if one.shape is not None:
        if not one.shape and one.signature == 2:
            return False
        if (
            one.rank is Rank.PROBABILITIES
            and len([side for side in one.shape[1:] if side != 1]) > 1
        ):
            one.rank = Rank.END  # a map of them, as for the pixels of an image
        if is_row(one.shape) and one.rank is not Rank.DECISION:
            many = "number" if one.shape[1] == 1 else "numbers"
            one.reasons.append(f"one row of {one.shape[1]} {many} per image")
    if GOOD_NAME.search(one.end.node):
        one.reasons.append("named as answers are")
    return True
