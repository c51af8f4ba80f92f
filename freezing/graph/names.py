"""Node names as people write them: with or without `:0`, and sometimes wrong."""

import difflib
from collections.abc import Callable, Collection, Sequence

from freezing.graph.graph import Endpoint, Graph, output_types
from worker.errors import UnknownNodeError

_SUGGESTIONS = 3


def nearest(name: str, known: Collection[str], count: int = _SUGGESTIONS) -> list[str]:
    """Return up to `count` of `known` that `name` may have meant, best first.

    The same name in other letter case comes first, then names that end like it (a scope that was
    left out), then similar ones.
    """
    by_case = {other.lower(): other for other in sorted(known)}
    found = [by_case[name.lower()]] if name.lower() in by_case else []
    last = name.rsplit("/", 1)[-1].lower()
    if len(last) > 1:
        tails = [other for other in known if other.lower().rsplit("/", 1)[-1] == last]
        found += sorted(tails, key=lambda other: (other.count("/"), len(other)))
    close = difflib.get_close_matches(name.lower(), by_case, n=count, cutoff=0.6)
    found += [by_case[other] for other in close]
    return list(dict.fromkeys(found))[:count]


def find_tensor(
    graph: Graph, text: str, role: str, likely: Callable[[], Sequence[str]] | None = None
) -> Endpoint:
    """Return the tensor that `text` (`x`, `x:0`) names in the graph.

    `role` ("output", "input", "set") stands in the sentence; `likely` gives candidates for it.
    Raises `UnknownNodeError` with the nearest names.
    """
    end = Endpoint.parse(text.strip().removeprefix("^"))
    if end.node not in graph:
        raise UnknownNodeError(_unknown(graph, end.node, role, likely))
    types = output_types(graph.nodes[end.node])
    if types is not None and end.output >= len(types):
        op = graph.nodes[end.node].op
        if not types:
            raise UnknownNodeError(
                f"The {role} '{end.node}' is a {op}, which has no output{_also(likely)}."
            )
        last = f"{end.node}:{len(types) - 1}"
        raise UnknownNodeError(
            f"The {role} '{text}' does not exist: {end.node} ({op}) has {len(types)} output(s), "
            f"the last is {last}."
        )
    return end


def _unknown(graph: Graph, name: str, role: str, likely: Callable[[], Sequence[str]] | None) -> str:
    sentence = f"There is no node '{name[:200]}' in the graph, which was named as {role}."
    inside = [other for other in graph.nodes if other.startswith(name.rstrip("/") + "/")]
    if inside:
        return f"{sentence} It is a scope of {len(inside)} nodes; the last is {inside[-1]}."
    close = nearest(name, graph.nodes)
    if close:
        sentence += f" Did you mean {' or '.join(close)}?"
    return sentence + _also(likely, start=" Likely candidates: ", end=".")


def _also(
    likely: Callable[[], Sequence[str]] | None,
    start: str = "; likely candidates: ",
    end: str = "",
) -> str:
    names = list(likely()) if likely is not None else []
    return f"{start}{', '.join(names)}{end}" if names else ""
