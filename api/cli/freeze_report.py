"""What a freeze did, as a person reads it."""

from collections.abc import Callable, Iterable

from rich.console import Console
from rich.text import Text

from api.cli.basis_view import basis_text, preprocessing_text, show_choices
from api.cli.escaping import escaped
from api.cli.output import Column, facts, table
from api.cli.proof_report import show_proof
from api.client import DEFAULT_SERVER
from worker.contract.freezes import (
    Audit,
    BatchDimension,
    FreezeResult,
    Layer,
    Optimised,
    Verification,
)
from worker.formatting import number, size
from worker.models.manifest import Tensor

MOST_LAYERS = 40  # layers listed; of more, the largest


def show_freeze(out: Console, result: FreezeResult, server: str = DEFAULT_SERVER) -> None:
    """Print a freeze job's result, with commands for whom asks `server`."""
    title = f"{escaped(result.model)}@{result.version}"
    out.print(Text(title, style="bold"), Text("is published."))
    facts(
        out,
        [
            ("size", _change(result.bytes_before, result.bytes_after, size)),
            ("nodes", _change(result.nodes_before, result.nodes_after, number)),
            ("parameters", number(result.parameters)),
            ("inputs", tensors(result.inputs)),
            ("outputs", tensors(result.outputs)),
            ("images", preprocessing_text(result.preprocessing)),
            ("basis", basis_text(result.basis)),
            ("removed", _removed(result.removed)),
            ("optimised", _optimised(result.optimised)),
            ("batch", _batch(result.batch)),
            ("audited", _audited(result.audit)),
            ("verified", _verified(result.verification)),
            ("runtime", _runtime(result)),
            ("sha256", result.sha256),
        ],
    )
    if result.examples is not None:
        out.print()
        show_proof(out, result.examples)
    layers = grouped(result.layers)
    if layers:
        out.print()
        _show_layers(out, layers, result.parameters)
    for warning in result.warnings:
        out.print(Text(f"Warning: {escaped(warning)}", style="yellow"))
    show_choices(out, ((choice.reason, choice.command) for choice in result.choices), server)


def grouped(layers: Iterable[Layer]) -> list[tuple[str, list[str], int]]:
    """Return (layer, its variables with their shapes, parameters), in order.

    Variables belong to one layer if their names agree up to the last `/`.
    """
    groups: dict[str, tuple[list[str], int]] = {}
    for layer in layers:
        prefix, _, variable = layer.name.rpartition("/")
        shape = "x".join(map(str, layer.shape or []))
        variables, count = groups.get(prefix or variable, ([], 0))
        text = f"{variable if prefix else ''} {shape}".strip()
        groups[prefix or variable] = ([*variables, text], count + layer.parameters)
    return [(name, variables, count) for name, (variables, count) in groups.items()]


def _show_layers(out: Console, layers: list[tuple[str, list[str], int]], total: int) -> None:
    shown = layers
    if len(layers) > MOST_LAYERS:
        least = sorted((layer[2] for layer in layers), reverse=True)[MOST_LAYERS - 1]
        shown = [layer for layer in layers if layer[2] >= least][:MOST_LAYERS]
    rest = len(layers) - len(shown)
    rows: list[tuple[object, ...]] = [
        (name, ", ".join(variables), number(count)) for name, variables, count in shown
    ]
    if rest:
        kept = sum(count for _, _, count in shown)
        everything = sum(count for _, _, count in layers)
        rows.append((f"and {rest} smaller", "", number(everything - kept)))
    columns = (
        Column(title="layer", wide=True),
        Column(title="variables", wide=True),
        Column(title="parameters", justify="right"),
    )
    table(out, columns, rows, footer=("all", "", number(total)))


def _change(before: int, after: int, shown: Callable[[float], str]) -> str:
    return f"{shown(before)} -> {shown(after)}"


def tensors(found: Iterable[Tensor]) -> str:
    """Return inputs or outputs as `x:0 [?, 128, 128, 3] float32`."""
    return ", ".join(map(_tensor, found))


def _tensor(tensor: Tensor) -> str:
    shape = tensor.shape
    sides = "" if shape is None else f" [{', '.join('?' if s is None else str(s) for s in shape)}]"
    return f"{escaped(tensor.name)}{sides} {tensor.dtype}".rstrip()


def _removed(removed: dict[str, int]) -> str:
    return ", ".join(
        f"{number(count)} {what.replace('_', ' ')}" for what, count in removed.items() if count
    )


def _runtime(result: FreezeResult) -> str:
    made = result.accelerated
    if made is None:
        return result.runtime
    form = f"{result.runtime}: {escaped(made.format)}"
    return f"{form}, {size(made.bytes)}, verified {_verified(made.verification)}"


def _optimised(done: Optimised | None) -> str:
    if done is None:
        return "no"
    return (
        f"{number(done.folded_constants)} constants and "
        f"{number(done.batch_norms)} batch normalisations folded, "
        f"{number(done.nodes_before)} -> {number(done.nodes_after)} nodes"
    )


def _batch(batch: BatchDimension) -> str:
    if batch.source is None:
        alone = "one image at a time, so that none changes what is answered for another"
        return alone if batch.served == 1 else ""
    if batch.served is None:
        return f"freed: any number of images at once, the source took {number(batch.source)}"
    return f"{number(batch.served)} images at once, filled up where there are fewer"


def _audited(audit: Audit) -> str:
    kinds = number(len(audit.ops))
    return f"{kinds} kinds of ops, all of them allowed (list {audit.allow_list})"


def _verified(verification: Verification) -> str:
    said = [
        f"on {number(verification.samples)} samples",
        f"largest difference {verification.max_abs_difference:.2g}",
        f"the best label agrees for {verification.top1_agreement:.1%}",
        *(
            f"{escaped(output.name)} by {output.max_abs_difference:.2g}"
            for output in verification.outputs[1:]
        ),
    ]
    return ", ".join(said)
