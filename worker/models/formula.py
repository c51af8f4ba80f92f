"""The formula of a preprocessing's values, for a person to read."""

from collections.abc import Sequence

_TIMES = "\N{MULTIPLICATION SIGN}"


def factor(scale: float) -> str:
    """Return what pixels are multiplied by, as a division where that is a rounder number."""
    inverse = 1 / scale if scale else 0.0
    if inverse > 1 and abs(inverse - round(inverse, 1)) < 1e-6:
        return f"÷ {round(inverse, 1):g}"
    return f"{_TIMES} {scale:.4g}"


def formula(scale: float, mean: Sequence[float], std: Sequence[float]) -> str:
    """Return `(value * scale - mean) / std` without what changes nothing: `value ÷ 255`.

    `mean` and `std` are one number, or one for each channel.
    """
    said = "value" if scale == 1 else f"value {factor(scale)}"
    if any(mean):
        said = f"{said} - {_listed(mean)}"
    if any(one != 1 for one in std):
        said = f"({said}) / {_listed(std)}" if any(mean) else f"{said} / {_listed(std)}"
    return said


def _listed(values: Sequence[float]) -> str:
    different = dict.fromkeys(f"{value:.4g}" for value in values)
    if len(different) == 1:
        return next(iter(different))
    return f"[{', '.join(f'{value:.4g}' for value in values)}]"
