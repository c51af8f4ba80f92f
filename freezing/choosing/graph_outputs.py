"""What a graph ends in, as far as answers are concerned, and what each of these is."""

from collections.abc import Iterable
from functools import cached_property

from freezing.choosing.ranking import Output, Rank
from freezing.graph.content import SQUASHED, Content, Contents, Trace
from freezing.graph.flow import Flow
from freezing.graph.graph import Endpoint
from freezing.graph.shapes import Shapes

_CROSS_ENTROPY = frozenset({"SoftmaxCrossEntropyWithLogits", "SparseSoftmaxCrossEntropyWithLogits"})
_PASSING = frozenset({"Identity", "Reshape", "Cast", "StopGradient", "Squeeze"})
_HANDING_ON = frozenset({"Identity", "Reshape", "Squeeze"})
_DECISIONS = frozenset({"ArgMax", "ArgMin", "TopK", "TopKV2", "InTopK", "InTopKV2"})
_LAYERS = frozenset(
    {"MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Conv2D", "DepthwiseConv2dNative"}
    | {"Einsum"}
)
_LAST_OPS = (
    frozenset(
        {"BiasAdd", "Add", "AddV2", "AddN", "Mean", "Sum", "Max", "Min", "Prod", "Sub", "Mul"}
    )
    | {"Squeeze", "Reshape", "Identity", "IdentityN", "ExpandDims", "Transpose", "Cast", "Exp"}
    | {"Log", "LogSoftmax", "Softmax", "Sigmoid", "Relu", "Relu6", "Elu", "Selu", "LeakyRelu"}
    | {"Tanh", "Softplus", "Softsign", "RealDiv", "Div", "DivNoNan", "Sqrt", "Pow", "Maximum"}
    | {"Minimum", "AvgPool", "MaxPool", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"}
    | {"ConcatV2", "Pack", "StridedSlice", "Slice", "GatherV2", "Merge", "Exit", "StopGradient"}
    | {"StatefulPartitionedCall", "PartitionedCall", "NonMaxSuppressionV3", "Select", "SelectV2"}
    | {"CheckNumerics", "Neg", "Reciprocal", "CombinedNonMaxSuppression"}
    | _LAYERS
    | _DECISIONS
)
_MANY = {
    Content.SOFTMAX: "one probability per class",
    Content.LOG_SOFTMAX: "the logarithm of one probability per class",
    Content.SIGMOID: "independent probabilities",
}
_CALLED = {Content.SOFTMAX: "Softmax", Content.SIGMOID: "Sigmoid"}  # what is written out
_MOST = 8  # candidates of one kind


class OutputFinder:
    """Finds candidates by what a graph's nodes are for, and by what the graph ends in."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.graph = flow.graph
        self.contents = Contents(flow)
        usable = {name for name in self.graph.nodes if flow.answers(name)}
        self.usable = usable - self._behind_gradients()
        self.decisions = self._decisions()
        self.scored = self.usable - self.decisions
        self._logits = self._find_logits()
        self._disputed: set[str] = set()  # of which something equally good is made

    @cached_property
    def shapes(self) -> Shapes:
        """Shapes of all ends and of what they are made of; mostly not needed."""
        return Shapes(self.graph, [name for name in self.usable if not self._takers(name)])

    def candidates(self) -> list[Output]:
        """Return what may be the answer: ends, what a loss takes as logits, and class numbers."""
        answers = [Endpoint(name, 0) for name in self._answers()]
        logits = set(self._logits) & self.scored
        found: dict[Endpoint, Output] = {}
        for end in answers:
            # What a loss makes flat for itself is no other answer.
            if self._computing(end.node) not in logits:
                found[end] = self.output(end)
        found = self._each_once(found)
        for name in self._last(logits):
            found[Endpoint(name, 0)] = self.output(Endpoint(name, 0))
        for name in self._last(self._ends(self.decisions)):
            found[Endpoint(name, 0)] = self.output(Endpoint(name, 0))
        kept: list[Output] = []
        place = {name: number for number, name in enumerate(self.graph.nodes)}
        for rank in Rank:
            alike = [one for one in found.values() if one.rank is rank]
            kept += sorted(alike, key=lambda one: place[one.end.node])[-_MOST:]
        return kept

    def _each_once(self, found: dict[Endpoint, Output]) -> dict[Endpoint, Output]:
        """Return those of `found` that do not just hand on, as a whole, what another one is."""
        handing: dict[str, list[Endpoint]] = {}
        for end in found:
            trace = self.contents.trace(end)
            if trace.carries and trace.squashed and len(trace.sources) == 1:
                handing.setdefault(next(iter(trace.sources)), []).append(end)
        left_out: set[Endpoint] = set()
        for source, ends in handing.items():
            seen: list[list[int | None] | None] = []
            # What is squashed itself comes last: it has a name that nobody gave it.
            for end in sorted(ends, key=lambda end: end.node == source) if len(ends) > 1 else ():
                shape = self.shapes.sides(end)
                if shape is not None and shape in seen:
                    left_out.add(end)
                seen.append(shape)
        return {end: one for end, one in found.items() if end not in left_out}

    def output(self, end: Endpoint) -> Output:
        """Return a tensor as a candidate."""
        trace = self.contents.trace(end)
        content = trace.content
        op = self._op(end, trace)
        rank = Rank.END
        is_decided = end.node in self.decisions or op in _DECISIONS or trace.decides
        if is_decided and content is not Content.DETECTIONS:
            rank = Rank.DECISION
        elif content in SQUASHED:
            rank = Rank.PROBABILITIES
        elif self._computing(end.node) in self._logits:
            rank = Rank.LOGITS
        one = Output(end=end, op=op, rank=rank, signature=2, content=content)
        one.sources = frozenset(trace.sources)
        if end.node in self._disputed:
            one.rank, one.disputed = Rank.END, True
        one.reasons = self._reasons(one, trace)
        return one

    def _reasons(self, one: Output, trace: Trace) -> list[str]:
        if one.rank is Rank.DECISION:
            return [f"{one.op} decides: it gives no score for each class"]
        if one.content is Content.DETECTIONS:
            return ["non-maximum suppression gives it: what was found in an image, in any number"]
        if one.rank is Rank.LOGITS:
            taker = self._logits.get(self._computing(one.end.node))
            return [f"the training's loss takes it as logits ({taker})"]
        if one.rank is Rank.PROBABILITIES:
            many = _MANY[one.content or Content.SOFTMAX]
            if len(trace.sources) > 1:
                return [f"{len(trace.sources)} of them put together: {many}"]
            return [f"a {one.op.lower()}: {many}"]
        found = ["a last layer: nothing that predicts is computed from it"]
        takers = self.flow.consumers[one.end.node]
        if any(self.flow.takes_labels(taker) for taker in takers):
            found.append("the training's loss compares it with the labels")
        return found

    def _answers(self) -> set[str]:
        """Return the nodes that the graph ends in, as far as answers are concerned.

        What only tells of an answer (how sure it is, how many classes are likely) or belongs to the
        loss is none: the squashed numbers that it is made of are taken instead.
        """
        found: set[str] = set()
        for name in self.scored:
            if not any(taker in self.scored for taker in self.flow.consumers[name]):
                found |= self._behind_end(name)
        return found

    def _behind_end(self, name: str) -> set[str]:
        end = Endpoint(name, 0)
        trace = self.contents.trace(end)
        itself = {name} if self._is_last(name) else set()
        if not trace.squashed or trace.mixes:
            squashed = [one for one, kind in trace.sources.items() if kind in SQUASHED]
            if squashed and (not itself or self.shapes.sides(end) == []):
                return {self._outermost(one) for one in squashed}  # of a loss, say
            return itself
        inner = {self._outermost(source) for source in trace.sources}
        tells = trace.decides or not itself or self._is_in_loss(name)
        if not tells and (trace.carries or self._keeps_classes(end, trace)):
            return itself
        # As an age that is expected by the probabilities of all ages: both may be meant.
        if trace.weighs and not tells:
            self._disputed |= inner | itself
            return inner | itself
        return inner

    def _keeps_classes(self, end: Endpoint, trace: Trace) -> bool:
        """Whether the tensor has a number for each class, as those that it is made of."""
        made = self.shapes.sides(end)
        parts = [self.shapes.sides(Endpoint(name, 0)) for name in trace.sources]
        if Content.SOFTMAX not in trace.sources.values() and made is not None and len(made) > 1:
            return not trace.reduces or made[-1] != 1
        if made is None or trace.mixes or not all(parts):
            return not trace.reduces or len(parts) > 1
        # Of experts with a gate each, what opens the gates has a number for each expert.
        return len(made) > 1 and any(part is not None and part[-1] == made[-1] for part in parts)

    def _op(self, end: Endpoint, trace: Trace) -> str:
        """Return the op that computes a tensor, behind those that only hand it on."""
        if trace.carries and len(trace.sources) == 1:
            (name, content) = next(iter(trace.sources.items()))
            op = str(self.graph.nodes[name].op)
            return _CALLED.get(content, op) if op in ("RealDiv", "Div") else op
        while self.graph.nodes[end.node].op == "IdentityN" or (
            end.output == 0 and self.graph.nodes[end.node].op in _PASSING
        ):
            end = self.graph.data_inputs(end.node)[end.output]
        return str(self.graph.nodes[end.node].op)

    def _decisions(self) -> set[str]:
        """Return the nodes that decide for a class, and what is computed from these.

        A layer that goes on with what was chosen is part of the network again.
        """
        found: set[str] = set()
        waiting = [name for name in self.usable if self.graph.nodes[name].op in _DECISIONS]
        while waiting:
            name = waiting.pop()
            if name not in found and name in self.usable:
                found.add(name)
                takers = self.flow.consumers[name]
                waiting.extend(taker for taker in takers if not self._is_layer(taker))
        return found

    def _behind_gradients(self) -> set[str]:
        """Return what is made of gradients, such as clipped ones: steps of the training."""
        waiting = [name for name, kind in self.flow.kinds.items() if kind == "gradients"]
        found: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += [
                    taker
                    for taker in self.flow.consumers[name]
                    if any(end.node == name for end in self.graph.data_inputs(taker))
                ]
        return found

    def _is_layer(self, name: str) -> bool:
        ends = self.graph.data_inputs(name)
        is_layer = self.graph.nodes[name].op in _LAYERS
        return is_layer and any(end.node in self.flow.weights for end in ends)

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

    def _takers(self, name: str) -> list[str]:
        return [taker for taker in self.flow.consumers[name] if taker in self.scored]

    def _outermost(self, name: str) -> str:
        """Return the last node that hands on what `name` gives, where there is one only."""
        while True:
            takers = self._takers(name)
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
            if self._is_last(name) and not any(t in names for t in self.flow.consumers[name])
        ]

    def _is_last(self, name: str) -> bool:
        """Whether a node could be an answer, and does not only keep count of the training."""
        if self.graph.nodes[name].op not in _LAST_OPS:
            return False
        takers = [self.graph.nodes[taker].op for taker in self.flow.consumers[name]]
        # Drawn as one number, such as a share of zeros; or a moving average.
        return not any(op == "ScalarSummary" or op.startswith("Assign") for op in takers)

    def _is_in_loss(self, name: str) -> bool:
        return any(self.flow.takes_labels(taker) for taker in self.flow.consumers[name])

    def _last(self, names: Iterable[str]) -> set[str]:
        """Return `names` less those that another of them is computed from."""
        wanted = set(names)
        inner: set[str] = set()
        for name in [name for name in reversed(self.graph.nodes) if name in wanted]:
            if name not in inner:
                inner |= (self.graph.ancestors([name]) & wanted) - {name}
        return wanted - inner
