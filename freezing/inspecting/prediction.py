"""What freezing a plan would leave of its graph, told without reading any variable."""

from freezing.choosing.plan import Plan
from freezing.converting.controlflow import fold_branches
from freezing.graph.dropout import remove_idle_dropout
from freezing.graph.functions import inline_functions
from freezing.graph.graph import Endpoint, Graph, const_node
from freezing.graph.side_effects import drop_side_effects


def what_remains(plan: Plan) -> Graph:
    """Return the graph that freezing a plan would leave, with its variables still in it."""
    names = [Endpoint.parse(tensor.name).node for tensor in (plan.input, *plan.outputs)]
    keep = [tensor.name for tensor in (plan.input, *plan.outputs)]
    graph = inline_functions(plan.graph.subgraph(plan.graph.nodes), keep)
    for name, value in plan.values.items():
        graph.nodes[name] = const_node(name, value)
    graph.keep(graph.ancestors(names))
    fold_branches(graph, names[1:])
    drop_side_effects(graph)
    remove_idle_dropout(graph)
    graph.keep(graph.ancestors(names[1:]))
    return graph
