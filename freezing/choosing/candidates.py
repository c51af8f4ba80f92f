"""Which tensors of a graph look like its answer: ranked, and with the reason for the rank.

What a node is for decides, then how the network is built; a name only breaks ties, because two
answers with well-known names are still two answers.
"""

from collections.abc import Collection, Iterable, Sequence

from freezing.choosing.preferences import settle
from freezing.choosing.ranking import GOOD_NAME, Output, Outputs, Rank, is_row, name_rank, shown
from freezing.graph.final_op import final_op
from freezing.graph.flow import Flow
from freezing.graph.graph import PLACEHOLDER_OPS, Endpoint, Graph
from freezing.graph.shapes import Shapes
from freezing.sources.source import Signature

_SQUASHED = frozenset({"Softmax", "Sigmoid"})
_CROSS_ENTROPY = frozenset({"SoftmaxCrossEntropyWithLogits", "SparseSoftmaxCrossEntropyWithLogits"})
_PASSING = frozenset({"Identity", "Reshape", "Cast", "StopGradient", "Squeeze"})
_HANDING_ON = frozenset({"Identity", "Reshape", "Squeeze"})
_LAST_OPS = frozenset(
    {"BiasAdd", "Add", "AddV2", "MatMul", "BatchMatMul", "BatchMatMulV2", "Mean", "Sum", "Max"}
    | {"Squeeze", "Reshape", "Identity", "ExpandDims", "Transpose", "LogSoftmax", "Exp", "Log"}
    | {"Relu", "Relu6", "Elu", "Selu", "LeakyRelu", "Tanh", "Softplus", "Sub", "Mul", "RealDiv"}
    | {"Div", "Sqrt", "Conv2D", "AvgPool", "MaxPool", "FusedBatchNorm", "FusedBatchNormV3"}
    | {"ConcatV2", "Pack", "StridedSlice", "Slice", "GatherV2", "Merge", "Exit", "Einsum"}
    | {"StatefulPartitionedCall", "PartitionedCall", "NonMaxSuppressionV3"}
)
_LAYER_OPS = frozenset({"BiasAdd", "Add", "AddV2", "MatMul", "BatchMatMulV2"})
_DECISIONS = frozenset({"ArgMax", "ArgMin", "TopK", "TopKV2", "InTopK", "InTopKV2"})
_MOST = 8  # candidates of one kind, and names in a sentence


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
    finder = _Finder(flow)
    found = {one.end: one for one in finder.candidates()}
    for number, signature in enumerate(signatures):
        for key, text in signature.outputs.items():
            end = Endpoint.parse(text)
            if end.node in graph:
                one = found.setdefault(end, finder.of_signature(end))
                one.signature = min(one.signature, number, 1)
                one.names.append(f"output '{key}' of the signature '{signature.name}'")
    candidates = [one for one in found.values() if known is None or one.end.node in known]
    for one in candidates:
        one.reasons[:0] = one.names
    shapes = Shapes(graph, [one.end.node for one in candidates])
    candidates = [one for one in candidates if _describe(one, shapes)]
    settle(flow, candidates, preferred)
    place = {name: number for number, name in enumerate(graph.nodes)}
    candidates.sort(key=lambda one: (*one.standing, name_rank(one), place[one.end.node]))
    return Outputs(ranked=candidates)


def output_candidates(graph: Graph) -> list[str]:
    """Return names of the nodes that most likely are the graph's answer, for a sentence."""
    outputs = rank_outputs(graph)
    return [shown(one.end) for one in outputs.best[:_MOST]] if outputs.ranked else []


class _Finder:
    """Finds candidates by what a graph's nodes are for."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.graph = flow.graph
        self.usable = {name for name in self.graph.nodes if flow.answers(name)}
        self.decisions = self._decisions()
        self._logits = self._find_logits()

    def candidates(self) -> list[Output]:
        scored = self.usable - self.decisions
        squashed = {name for name in scored if self._is_squashed(name)}
        logits = set(self._logits) & scored
        ends = set(self._ends(scored))
        # A sigmoid in the middle of a network is a gate, and goes with what it opens.
        gates = self._gates(squashed, ends)
        probabilities = self._last(squashed | logits) & squashed - gates
        groups = {
            Rank.PROBABILITIES: {self._outermost(name) for name in probabilities},
            Rank.LOGITS: self._last(logits),
            # What a loss makes flat for itself is no other answer.
            Rank.END: {name for name in self._last(ends) if self._computing(name) not in logits},
            Rank.DECISION: self._last(self._ends(self.decisions)),
        }
        found: dict[str, Output] = {}
        for rank, names in groups.items():
            for name in [name for name in self.graph.nodes if name in names][-_MOST:]:
                if name not in found:
                    found[name] = self._output(Endpoint(name, 0), rank)
        return list(found.values())

    def of_signature(self, end: Endpoint) -> Output:
        """Return what a signature names as an output."""
        op = self._op(end)
        rank = Rank.END
        if end.node in self.decisions or op in _DECISIONS:
            rank = Rank.DECISION
        elif op in _SQUASHED:
            rank = Rank.PROBABILITIES
        elif self._computing(end.node) in self._logits:
            rank = Rank.LOGITS
        return self._output(end, rank)

    def _output(self, end: Endpoint, rank: Rank) -> Output:
        op = self._op(end)
        one = Output(end=end, op=op, rank=rank, signature=2)
        if rank is Rank.PROBABILITIES:
            many = "one probability per class" if op == "Softmax" else "independent probabilities"
            one.reasons.append(f"a {op.lower()}: {many}")
        elif rank is Rank.LOGITS:
            taker = self._logits.get(self._computing(end.node))
            one.reasons.append(f"the training's loss takes it as logits ({taker})")
        elif rank is Rank.DECISION:
            one.reasons.append(f"{op} decides: it gives no score for each class")
        else:
            one.reasons.append("a last layer: nothing that predicts is computed from it")
            takers = self.flow.consumers[end.node]
            if any(self.flow.takes_labels(taker) for taker in takers):
                one.reasons.append("the training's loss compares it with the labels")
        return one

    def _op(self, end: Endpoint) -> str:
        """Return the op that computes a tensor, behind those that only hand it on."""
        while self.graph.nodes[end.node].op == "IdentityN" or (
            end.output == 0 and self.graph.nodes[end.node].op in _PASSING
        ):
            end = self.graph.data_inputs(end.node)[end.output]
        if end.output:
            return str(self.graph.nodes[end.node].op)
        return final_op(self.graph, end)

    def _is_squashed(self, name: str) -> bool:
        op = self.graph.nodes[name].op
        return op in _SQUASHED or (
            op in ("RealDiv", "Div") and final_op(self.graph, Endpoint(name, 0)) in _SQUASHED
        )

    def _decisions(self) -> set[str]:
        """Return the nodes that decide for a class, and what is computed from these."""
        found: set[str] = set()
        waiting = [name for name in self.usable if self.graph.nodes[name].op in _DECISIONS]
        while waiting:
            name = waiting.pop()
            if name not in found and name in self.usable:
                found.add(name)
                waiting.extend(self.flow.consumers[name])
        return found

    def _find_logits(self) -> dict[str, str]:
        """Return what a cross entropy takes as logits, with its name."""
        found: dict[str, str] = {}
        for node in self.graph:
            is_loss = node.op in _CROSS_ENTROPY and self.flow.kinds[node.name] == "other"
            if is_loss and node.input:
                # softmax_cross_entropy_with_logits makes its logits flat by a Reshape of its own.
                name = self._computing(self.graph.inputs(node.name)[0].node)
                if name in self.usable:
                    found[name] = node.name
        return found

    def _computing(self, name: str) -> str:
        """Return the node behind those that only hand its output on."""
        while self.graph.nodes[name].op in _PASSING and self.graph.data_inputs(name):
            name = self.graph.data_inputs(name)[0].node
        return name

    def _outermost(self, name: str) -> str:
        """Return the last node that hands on what `name` gives, where there is one only."""
        while True:
            takers = [
                taker
                for taker in self.flow.consumers[name]
                if taker in self.usable and taker not in self.decisions
            ]
            if len(takers) != 1 or self.graph.nodes[takers[0]].op not in _HANDING_ON:
                return name
            if self.graph.data_inputs(takers[0])[0].node != name:
                return name  # it only gives the shape
            name = takers[0]

    def _ends(self, names: Iterable[str]) -> list[str]:
        names = set(names)
        return [
            name
            for name in names
            if (self.graph.nodes[name].op in _LAST_OPS | _SQUASHED | _DECISIONS)
            and not any(taker in names for taker in self.flow.consumers[name])
            and not self._is_monitored(name)
        ]

    def _is_monitored(self, name: str) -> bool:
        """Whether it is computed to be drawn as one number, such as a share of zeros."""
        takers = self.flow.consumers[name]
        return any(self.graph.nodes[taker].op == "ScalarSummary" for taker in takers)

    def _gates(self, squashed: set[str], ends: set[str]) -> set[str]:
        """Return those of `squashed` that a last layer is computed from without further input."""
        found: set[str] = set()
        for name in ends:
            if self.graph.nodes[name].op in _LAYER_OPS:
                needed = self.graph.ancestors([name])
                inputs = self._placeholders(needed)
                found |= {
                    gate
                    for gate in squashed & needed
                    if self._placeholders(self.graph.ancestors([gate])) == inputs
                }
        return found

    def _placeholders(self, names: set[str]) -> set[str]:
        return {name for name in names if self.graph.nodes[name].op in PLACEHOLDER_OPS}

    def _last(self, names: Iterable[str]) -> set[str]:
        """Return `names` less those that another of them is computed from."""
        wanted = set(names)
        inner: set[str] = set()
        for name in [name for name in reversed(self.graph.nodes) if name in wanted]:
            if name not in inner:
                inner |= (self.graph.ancestors([name]) & wanted) - {name}
        return wanted - inner


def _describe(one: Output, shapes: Shapes) -> bool:
    """Note shape and dtype; False where it cannot be an answer, as a single number or text."""
    one.shape, one.dtype = shapes.sides(one.end), shapes.dtype(one.end)
    if one.dtype == "string" and one.signature == 2:
        return False  # such as the name of a file that was written
    if one.dtype is not None and "float" not in one.dtype:
        one.rank = Rank.DECISION
        one.reasons.append(f"it holds {one.dtype}, not scores")
    if one.shape is not None:
        if not one.shape and one.signature == 2:
            return False
        if is_row(one.shape) and one.rank is not Rank.DECISION:
            many = "number" if one.shape[1] == 1 else "numbers"
            one.reasons.append(f"one row of {one.shape[1]} {many} per image")
    if GOOD_NAME.search(one.end.node):
        one.reasons.append("named as answers are")
    return True
