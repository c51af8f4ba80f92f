"""Which tensors of a graph look like its answer: ranked, and with the reason for the rank.

What a node is for decides, then how the network is built; a name only breaks ties, because two
answers with well-known names are still two answers.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from freezing.flow import Flow
from freezing.graphs import PLACEHOLDER_OPS, VARIABLE_OPS, Endpoint, Graph
from freezing.scores import final_op
from freezing.shapes import Shapes
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
_GOOD_NAME = re.compile(
    r"(\A|[/_])(predictions?|final_result|probs?|probabilities|softmax|y_pred|pred|outputs?|scores"
    r"|logits|y)(_?\d+)?\Z|detection_scores",
    re.IGNORECASE,
)
_SIDE_NAME = re.compile(r"aux", re.IGNORECASE)


class Rank(IntEnum):
    """What a candidate is, the likeliest answer first."""

    PROBABILITIES = 0
    LOGITS = 1
    END = 2  # nothing is computed from it, whatever it is
    DECISION = 3  # a class number or the like, which is no row of scores


@dataclass(kw_only=True)
class Output:
    """A tensor that may be the answer."""

    end: Endpoint
    op: str  # that computes it, behind ops that hand it on
    rank: Rank
    signature: int  # 0: of the signature that is meant; 1: of another; 2: of none
    shape: list[int | None] | None = None
    dtype: str | None = None
    names: list[str] = field(default_factory=list)  # what signatures call it, in words
    reasons: list[str] = field(default_factory=list)
    demoted: bool = False  # another one with the same rank is clearly to be preferred

    @property
    def standing(self) -> tuple[int, int, int]:
        """By which candidates are compared: one that stands alone at the top is clear."""
        return (self.signature, self.rank, self.demoted)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """All candidates, likeliest first."""

    ranked: list[Output]

    @property
    def best(self) -> list[Output]:
        """Those that stand together at the top."""
        return [one for one in self.ranked if one.standing == self.ranked[0].standing]

    @property
    def clear(self) -> Output | None:
        """The only one at the top, unless it holds no scores."""
        best = self.best
        return best[0] if len(best) == 1 and best[0].rank is not Rank.DECISION else None


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
    _settle(finder, candidates, preferred)
    place = {name: number for number, name in enumerate(graph.nodes)}
    candidates.sort(key=lambda one: (*one.standing, _name_rank(one), place[one.end.node]))
    return Outputs(ranked=candidates)


def output_candidates(graph: Graph) -> list[str]:
    """Return names of the nodes that most likely are the graph's answer, for a sentence."""
    outputs = rank_outputs(graph)
    return [_shown(one.end) for one in outputs.best[:_MOST]] if outputs.ranked else []


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

    def layers(self, name: str) -> set[str]:
        """Return the nodes that the candidate needs and that put something through weights."""
        weights = self.flow.weights
        return {
            other
            for other in self.graph.ancestors([name])
            if other not in weights
            and any(end.node in weights for end in self.graph.data_inputs(other))
        }

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
        if _is_row(one.shape) and one.rank is not Rank.DECISION:
            many = "number" if one.shape[1] == 1 else "numbers"
            one.reasons.append(f"one row of {one.shape[1]} {many} per image")
    if _GOOD_NAME.search(one.end.node):
        one.reasons.append("named as answers are")
    return True


def _is_row(shape: list[int | None] | None) -> bool:
    return shape is not None and len(shape) == 2 and shape[1] is not None


def _name_rank(one: Output) -> int:
    if _SIDE_NAME.search(one.end.node):
        return 2
    return 0 if _GOOD_NAME.search(one.end.node) else 1


def _settle(finder: _Finder, candidates: list[Output], preferred: Endpoint | None) -> None:
    """Demote, in place, those beside which another one of the same rank is to be preferred."""
    groups: dict[tuple[int, int, int], list[Output]] = {}
    for one in candidates:
        groups.setdefault(one.standing, []).append(one)
    for group in groups.values():
        if len(group) > 1:
            _settle_replicas(finder, group)
            _settle_early_ones(finder, [one for one in group if not one.demoted])
            _settle_shapes([one for one in group if not one.demoted])
            _settle_names([one for one in group if not one.demoted], preferred)


def _settle_replicas(finder: _Finder, group: list[Output]) -> None:
    """Of the same network with the same variables, built twice, prefer the one not for training."""
    graph = finder.graph
    kept: dict[tuple[Any, ...], tuple[int, Output]] = {}
    for one in group:
        needed = graph.ancestors([one.end.node])
        variables = frozenset(name for name in needed if graph.nodes[name].op in VARIABLE_OPS)
        if not variables:
            continue
        training = sum(
            graph.nodes[name].op.startswith("Random") or graph.nodes[name].op in PLACEHOLDER_OPS
            for name in needed
        )
        mark = (variables, one.op, len(one.shape or []))
        if mark not in kept:
            kept[mark] = (training, one)
            continue
        best_training, best = kept[mark]
        worse, better = (best, one) if training < best_training else (one, best)
        kept[mark] = (min(training, best_training), better)
        worse.demoted = True
        worse.reasons.append(f"the same network with the same variables as {_shown(better.end)}")


def _settle_early_ones(finder: _Finder, group: list[Output]) -> None:
    """Prefer the one that goes through much more of the network than those that leave it early."""
    layers = {id(one): finder.layers(one.end.node) for one in group}
    for one in group:
        for other in group:
            own = layers[id(one)] - layers[id(other)]
            further = layers[id(other)] - layers[id(one)]
            if len(further) >= 3 * max(len(own), 1) and len(further) > len(own) + 3:
                one.demoted = True
                one.reasons.append(
                    f"leaves the network early: {_shown(other.end)} goes through "
                    f"{len(further)} more layers"
                )
                break


def _settle_shapes(group: list[Output]) -> None:
    """Prefer the only one that is a row of scores to single numbers and to maps of features.

    Rows of something, such as the boxes of a detector, are answers too.
    """
    rows = [one for one in group if _is_row(one.shape)]
    others = [one for one in group if one is not (rows[0] if rows else None)]
    if len(rows) == 1 and all(one.shape is not None and len(one.shape) in (1, 4) for one in others):
        for one in others:
            one.demoted = True
            one.reasons.append("not one row of numbers per image")


def _settle_names(group: list[Output], preferred: Endpoint | None) -> None:
    """Prefer what a signature gives a name for scores."""
    if any(one.end == preferred and one.signature == 0 for one in group):
        for one in group:
            one.demoted = one.end != preferred


def _shown(end: Endpoint) -> str:
    return end.node if end.output == 0 else str(end)
