"""Lookup tables become constants: a lookup is a gather over them, with the table's own default."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from freezing.converting.variables import handles_of, set_dtype
from freezing.graph.graph import Endpoint, Graph, const_node
from freezing.sources.lookup_tables import FINDS, SIZES, TABLE_OPS, Table, table_behind


def convert_tables(graph: Graph, tables: Mapping[str, Table]) -> None:
    """Replace, in place, every lookup in tables that are known."""
    for node in list(graph):
        if node.op not in FINDS | SIZES:
            continue
        table = tables.get(table_behind(graph, graph.data_inputs(node.name)[0]))
        if table is None or table.problem:
            continue
        if node.op in SIZES:
            _become(graph, node.name, const_node(node.name, len(table.keys), _INT64))
        else:
            _Lookup(graph, node, table).write()
    # A loop that the handle was handed through still does so, with a number in its place.
    for name, table_name in handles_of(graph, TABLE_OPS).items():
        if table_name in tables:
            set_dtype(graph.nodes[name], _INT32)
    for name in tables.keys() & graph.nodes.keys():
        graph.nodes[name] = const_node(name, 0, _INT32)


_INT64 = tf.int64.as_datatype_enum
_INT32 = tf.int32.as_datatype_enum
_BOOL = tf.bool.as_datatype_enum


class _Lookup:
    """The nodes that answer a lookup; the last one has the name of the node they replace."""

    def __init__(self, graph: Graph, node: Any, table: Table) -> None:
        self._graph = graph
        self._name = node.name
        self._key_type = node.attr["Tin"].type
        self._value_type = node.attr["Tout"].type
        _, self._keys, self._default = graph.data_inputs(node.name)
        self._after = [text for text in node.input if text.startswith("^")]
        self._table = table

    def write(self) -> None:
        values = self._table.by_number()
        if values is None:
            row, known = self._searched()
            values = self._table.values
        else:
            row, known = self._counted(len(values))
        held = self._const("values", values, self._value_type)
        axis = self._const("axis", 0, _INT32)
        found = self._add(
            "found",
            "GatherV2",
            [held, row, axis],
            Tparams=self._value_type,
            Tindices=_INT64,
            Taxis=_INT32,
        )
        ends = [known, found, self._default.as_input()]
        del self._graph.nodes[self._name]
        self._add("", "SelectV2", [*ends, *self._after], T=self._value_type)

    def _counted(self, count: int) -> tuple[str, str]:
        """Return the row of each key and whether there is one; keys are the numbers from 0."""
        keys = self._cast(self._keys.as_input(), self._key_type)
        zero = self._const("zero", 0, _INT64)
        end = self._const("count", count, _INT64)
        known = self._add(
            "known",
            "LogicalAnd",
            [
                self._add("not_below", "GreaterEqual", [keys, zero], T=_INT64),
                self._add("not_above", "Less", [keys, end], T=_INT64),
            ],
        )
        return self._add("row", "SelectV2", [known, keys, zero], T=_INT64), known

    def _searched(self) -> tuple[str, str]:
        """Return the row of each key and whether there is one, by comparing with every key."""
        last = self._const("last", -1, _INT32)
        keys = self._add(
            "keys",
            "ExpandDims",
            [self._keys.as_input(), last],
            T=self._key_type,
            Tdim=_INT32,
        )
        held = self._const("held", self._table.keys, self._key_type)
        equal = self._add("equal", "Equal", [keys, held], T=self._key_type)
        known = self._add("known", "Any", [equal, last], Tidx=_INT32)
        number = self._add("number", "Cast", [equal], SrcT=_BOOL, DstT=_INT32)
        row = self._add("row", "ArgMax", [number, last], T=_INT32, Tidx=_INT32, output_type=_INT64)
        return row, known

    def _cast(self, end: str, dtype: int) -> str:
        if dtype == _INT64:
            return end
        return self._add("number", "Cast", [end], SrcT=dtype, DstT=_INT64)

    def _const(self, name: str, value: Any, dtype: int) -> str:
        node = const_node(self._graph.unused_name(f"{self._name}/{name}"), value, dtype)
        # In the branch or round of a loop that the keys are in.
        node.input.append("^" + self._keys.node)
        self._graph.nodes[node.name] = node
        return str(node.name)

    def _add(self, name: str, op: str, inputs: list[str], **types: int) -> str:
        full = self._graph.unused_name(f"{self._name}/{name}") if name else self._name
        node = tf.compat.v1.NodeDef(name=full, op=op, input=inputs)
        for attribute, dtype in types.items():
            node.attr[attribute].type = dtype
        self._graph.nodes[full] = node
        return full


def _become(graph: Graph, name: str, other: Any) -> None:
    node = graph.nodes[name]
    other.input.extend(dict.fromkeys("^" + Endpoint.parse(text).node for text in node.input))
    graph.nodes[name] = other
