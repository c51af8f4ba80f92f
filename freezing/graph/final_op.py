"""The op that computes an output, behind those that only hand it on."""

from freezing.graph.graph import Endpoint, Graph

_PASSING = frozenset({"Identity", "Reshape", "Cast", "Squeeze", "StopGradient", "CheckNumerics"})


def final_op(graph: Graph, output: Endpoint) -> str:
    """Return the op that computes the output, behind ops that only hand it on.

    A softmax written out as exp(x) / sum(exp(x)) counts as Softmax.
    """
    end = output
    while graph.nodes[end.node].op in _PASSING:
        end = graph.data_inputs(end.node)[0]
    op: str = graph.nodes[end.node].op
    if op in ("RealDiv", "Div"):
        above, below = graph.data_inputs(end.node)[:2]
        summed = graph.data_inputs(below.node)
        if (
            graph.nodes[above.node].op == "Exp"
            and graph.nodes[below.node].op == "Sum"
            and summed[0] == above
        ):
            return "Softmax"
    return op
