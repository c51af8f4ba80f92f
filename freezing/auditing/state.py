"""Variables that a graph changes while it answers: frozen, they would stay as they are for ever."""

import re

from freezing.graph.graph import CONTROL_FLOW_OPS, VARIABLE_OPS, Graph
from worker.errors import FreezeError

_CHANGING = re.compile(
    r"\A(Assign|Scatter(Nd)?(Add|Sub|Mul|Div|Min|Max|Update)|Resource(Scatter|StridedSliceAssign"
    r"|Apply|SparseApply|CountUpTo)|Apply[A-Z]|SparseApply|CountUpTo|StridedSliceAssign"
    r"|RngSkip|RngReadAndSkip|Stateful(Standard|Truncated|Uniform|RandomBinomial))"
)
_HANDING_ON = frozenset({"Identity", "RefIdentity"}) | CONTROL_FLOW_OPS
_RANDOM = re.compile(r"Random|Stateful(Standard|Truncated|Uniform)|Multinomial")


class StatefulGraphError(FreezeError):
    """The answers depend on something that changes from one run to the next."""

    code = "stateful_graph"


def changing_nodes(graph: Graph) -> list[str]:
    """Return the nodes that change a variable."""
    return [node.name for node in graph if _CHANGING.match(node.op) and node.input]


def changed_variables(graph: Graph) -> dict[str, str]:
    """Return the variables that the graph changes when it runs, with a node that does so."""
    found: dict[str, str] = {}
    for changing in changing_nodes(graph):
        name = graph.inputs(changing)[0].node
        while name in graph and graph.nodes[name].op in _HANDING_ON and graph.nodes[name].input:
            name = graph.inputs(name)[0].node
        if name in graph and graph.nodes[name].op in VARIABLE_OPS:
            found.setdefault(name, changing)
    return found


def refuse_state(changed: dict[str, str], frozen: Graph, remedy: str) -> None:
    """Raise `StatefulGraphError` where the frozen graph still needs one of the variables.

    `remedy` is what to do where only training changes it.
    """
    variable = next((name for name in changed if _matters(frozen, name)), None)
    if variable is None:
        return
    random = _random_behind(frozen, variable)
    if random is not None:
        raise StatefulGraphError(
            f"The graph draws random numbers ('{random}') that go on from '{variable}' with every "
            "run: layers that vary images in training, such as RandomFlip, were left on when it "
            "was exported. Freeze the model's .keras file instead, or export it with an endpoint "
            "that calls model(x, training=False)."
        )
    raise StatefulGraphError(
        f"The answers depend on '{variable}', which '{changed[variable]}' changes with every run: "
        f"such a state cannot be frozen. If only training changes it, {remedy}; of a recurrent "
        "network, save one that is not stateful."
    )


def _matters(graph: Graph, name: str) -> bool:
    """Whether something depends on the variable's value.

    A batch normalisation in training mode takes its moving averages and does not use them.
    """
    for node in graph:
        ends = graph.data_inputs(node.name)
        if node.op.startswith("FusedBatchNorm") and node.attr["is_training"].b:
            ends = ends[:3]
        if any(end.node == name for end in ends):
            return True
    return False


def _random_behind(graph: Graph, name: str) -> str | None:
    """Return a node that draws random numbers and depends on `name`, if there is one."""
    consumers = graph.consumers()
    waiting, seen = [name], {name}
    while waiting:
        for taker in consumers[waiting.pop()]:
            if taker not in seen:
                if _RANDOM.search(graph.nodes[taker].op):
                    return taker
                seen.add(taker)
                waiting.append(taker)
    return None
