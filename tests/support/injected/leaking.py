"""Makes each micro-batch leak 50 MB."""

from typing import Any

from worker.inference import classifier

_LEAK = 50 * 1024 * 1024
_classify = vars(classifier)["classify"]
_kept: list[bytes] = []


def _leaking(*args: Any, **options: Any) -> Any:
    _kept.append(b"\1" * _LEAK)
    return _classify(*args, **options)


vars(classifier)["classify"] = _leaking
