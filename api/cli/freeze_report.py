"""What a freeze did, as a person reads it."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from api.cli.basis_view import basis_text, preprocessing_text, show_choices
from api.cli.output import Column, facts, table
from api.cli.proof_report import show_proof
from api.cli.text import number, printable, size
from api.client import DEFAULT_SERVER

MOST_LAYERS = 40  # layers listed; of more, the largest


def show_freeze(out: Console, result: dict[str, Any], server: str = DEFAULT_SERVER) -> None:
    """Print a freeze job's result, with commands for whom asks `server`."""
    title = f"{printable(result.get('model'))}@{printable(result.get('version'))}"
    out.print(Text(title, style="bold"), Text("is published."))
    facts(
        out,
        [
            ("size", _change(result, "bytes", size)),
            ("nodes", _change(result, "nodes", number)),
            ("parameters", number(result.get("parameters"))),
            ("inputs", tensors(result.get("inputs"))),
            ("outputs", tensors(result.get("outputs"))),
            ("images", preprocessing_text(result.get("preprocessing"))),
            ("basis", basis_text(result.get("basis"))),
            ("removed", _removed(result.get("removed"))),
            ("optimised", _optimised(result)),
            ("batch", _batch(result.get("batch"))),
            ("audited", _audited(result.get("audit"))),
            ("verified", _verified(result.get("verification"))),
            ("runtime", _runtime(result)),
            ("sha256", result.get("sha256")),
        ],
    )
    if isinstance(proof := result.get("examples"), dict):
        out.print()
        show_proof(out, proof)
    layers = grouped(result.get("layers") or [])
    if layers:
        out.print()
        _show_layers(out, layers, result.get("parameters"))
    for warning in result.get("warnings") or []:
        out.print(Text(f"Warning: {printable(warning)}", style="yellow"))
    show_choices(out, result.get("choices") or [], server)


def grouped(layers: Iterable[dict[str, Any]]) -> list[tuple[str, list[str], int]]:
    """Return (layer, its variables with their shapes, parameters), in order.

    Variables belong to one layer if their names agree up to the last `/`.
    """
    groups: dict[str, tuple[list[str], int]] = {}
    for layer in layers:
        prefix, _, variable = str(layer.get("name")).rpartition("/")
        shape = "x".join(str(side) for side in layer.get("shape") or [])
        variables, count = groups.get(prefix or variable, ([], 0))
        text = f"{variable if prefix else ''} {shape}".strip()
        groups[prefix or variable] = ([*variables, text], count + int(layer.get("parameters") or 0))
    return [(name, variables, count) for name, (variables, count) in groups.items()]


def _show_layers(out: Console, layers: list[tuple[str, list[str], int]], total: int | None) -> None:
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
    if total is None:
        total = sum(count for _, _, count in layers)
    columns = (
        Column(title="layer", wide=True),
        Column(title="variables", wide=True),
        Column(title="parameters", justify="right"),
    )
    table(out, columns, rows, footer=("all", "", number(total)))


def _change(result: dict[str, Any], what: str, shown: Any) -> str | None:
    before, after = result.get(f"{what}_before"), result.get(f"{what}_after")
    if after is None:
        return None
    return f"{shown(before)} -> {shown(after)}" if before is not None else str(shown(after))


def tensors(found: object) -> str:
    """Return inputs or outputs as `x:0 [?, 128, 128, 3] float32`."""
    if not isinstance(found, list):
        return ""
    return ", ".join(_tensor(tensor) for tensor in found)


def _tensor(tensor: object) -> str:
    if not isinstance(tensor, dict):
        return printable(tensor)
    shape = tensor.get("shape")
    sides = "" if shape is None else f" [{', '.join('?' if s is None else str(s) for s in shape)}]"
    return f"{printable(tensor.get('name'))}{sides} {tensor.get('dtype') or ''}".rstrip()


def _removed(removed: object) -> str:
    if not isinstance(removed, dict):
        return ""
    return ", ".join(
        f"{number(count)} {str(what).replace('_', ' ')}" for what, count in removed.items() if count
    )


def _runtime(result: dict[str, Any]) -> str:
    made = result.get("accelerated")
    if not isinstance(made, dict):
        return printable(result.get("runtime") or "")
    form = f"{printable(result.get('runtime'))}: {printable(made.get('format'))}"
    return f"{form}, {size(made.get('bytes'))}, verified {_verified(made.get('verification'))}"


def _optimised(result: dict[str, Any]) -> str:
    if "optimised" not in result:
        return ""
    done = result["optimised"]
    if not isinstance(done, dict):
        return "no"
    return (
        f"{number(done.get('folded_constants'))} constants and "
        f"{number(done.get('batch_norms'))} batch normalisations folded, "
        f"{number(done.get('nodes_before'))} -> {number(done.get('nodes_after'))} nodes"
    )


def _batch(batch: object) -> str:
    if not isinstance(batch, dict):
        return ""
    if batch.get("source") is None:
        alone = "one image at a time, so that none changes what is answered for another"
        return alone if batch.get("served") == 1 else ""
    if batch.get("served") is None:
        return f"freed: any number of images at once, the source took {number(batch['source'])}"
    return f"{number(batch['served'])} images at once, filled up where there are fewer"


def _audited(audit: object) -> str:
    if not isinstance(audit, dict):
        return ""
    ops = audit.get("ops")
    kinds = len(ops) if isinstance(ops, dict) else 0
    return f"{number(kinds)} kinds of ops, all of them allowed (list {audit.get('allow_list')})"


def _verified(verification: object) -> str:
    if not isinstance(verification, dict):
        return ""
    said = []
    if (samples := verification.get("samples")) is not None:
        said.append(f"on {number(samples)} samples")
    if (difference := verification.get("max_abs_difference")) is not None:
        said.append(f"largest difference {difference:.2g}")
    if (agreement := verification.get("top1_agreement")) is not None:
        said.append(f"the best label agrees for {agreement:.1%}")
    for output in (verification.get("outputs") or [])[1:]:
        difference = output.get("max_abs_difference") or 0.0
        said.append(f"{printable(output.get('name'))} by {difference:.2g}")
    return ", ".join(said)
