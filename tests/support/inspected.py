"""An inspection's result as the freezing worker gives it, to show."""

from typing import Any

from worker.models.inspection import Inspection

_HOW = {
    "size": [96, 96],
    "resize": "stretch",
    "color": "rgb",
    "scale": 1 / 255,
    "mean": [0.0],
    "std": [1.0],
    "layout": "NHWC",
}


def candidate(name: str, op: str, shape: list[int | None] | None, **more: Any) -> dict[str, Any]:
    return {"name": name, "op": op, "dtype": "float32", "shape": shape, "chosen": True, **more}


INSPECTED: dict[str, Any] = Inspection.model_validate(
    {
        "kind": "checkpoint",
        "name": "pets-7",
        "producer": "1.10.0",
        "tensorflow": "2.21.0",
        "bytes": 25_600_000,
        "files": [{"name": "pets-7.meta", "bytes": 1}, {"name": "pets-7.index", "bytes": 2}],
        "nodes": 401,
        "functions": 0,
        "signatures": [
            {
                "name": "serve",
                "method": "",
                "inputs": {"images": "x:0"},
                "outputs": {"scores": "y_pred:0"},
            }
        ],
        "labels": None,
        "inputs": [
            candidate("x:0", "Placeholder", [None, 96, 96, 3], reasons=["height and <width>"])
        ],
        "outputs": [
            candidate("y_pred:0", "Softmax", [None, 2], reasons=["a softmax", "named \x1b[1mso"]),
            candidate("add_4:0", "AddV2", None, chosen=False, reasons=["logits"]),
        ],
        "values": [
            {
                "name": "keep_prob",
                "dtype": "float32",
                "shape": None,
                "value": 1.0,
                "reason": "dropout lets everything through with it",
            },
            {
                "name": "phase",
                "dtype": "bool",
                "shape": [],
                "value": None,
                "default": False,
                "reason": "it has a default",
            },
        ],
        "parameters": {
            "total": 3_000,
            "bytes": 12_000,
            "kept": 2_946,
            "kept_bytes": 11_784,
            "layers": [
                {
                    "name": "conv1",
                    "variables": ["kernel 3x3x3x32", "bias 32"],
                    "parameters": 2_946,
                    "bytes": 11_784,
                }
            ],
        },
        "dropped": [
            {"kind": "optimizer_slots", "nodes": 22, "bytes": 17_000_000},
            {"kind": "queues", "nodes": 0, "bytes": 0},
        ],
        "predicted": {"nodes": 41, "parameters": 2_946, "bytes": 8_500_000},
        "unknown_ops": [
            {
                "op": "Addons>Gelu",
                "count": 3,
                "example": "gelu",
                "package": "tensorflow-addons",
                "needed": False,
            }
        ],
        "findings": [
            {"code": "dropout", "level": "warning", "message": "Dropout is on.", "nodes": ["drop"]},
            {"code": "missing_labels", "level": "note", "message": "There are no labels."},
        ],
        "preprocessing": {
            "fields": _HOW,
            "basis": {
                "kind": "assumed",
                "fields": {"scaling": "assumed", "color": "read"},
                "reasons": ["the order of <means>"],
                "alternatives": [],
            },
            "assumed": ["values from 0 to 1"],
        },
        "choice": {"clear": True, "input": "x:0", "outputs": ["y_pred:0"], "reasons": []},
        "freeze": {
            "ready": True,
            "body": {
                "name": "pets",
                "outputs": ["y_pred"],
                "inputs": ["x"],
                "set": {"keep_prob": 1.0},
            },
            "command": "./permafrost freeze SOURCE --name pets --output y_pred",
        },
    }
).model_dump(mode="json")
