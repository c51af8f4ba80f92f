"""Finding a source that a request names by its path under a sources root."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from worker.errors import SourceError


def find_source(name: str, roots: Sequence[Path]) -> Path:
    """Return the path that `name` means under the first root that has it.

    `name` is a folder, a file or a checkpoint's prefix, relative to a root or absolute below one.
    Links that lead out of the root are not followed. Raises `SourceError` with the nearest names.
    """
    for root in roots:
        path = root / name
        real = path.resolve()
        if not real.is_relative_to(root.resolve()):
            continue
        if path.exists() or any(path.parent.glob(f"{_escaped(path.name)}.*")):
            return path
    shown = ", ".join(str(root) for root in roots)
    near = difflib.get_close_matches(name, _names(roots), n=3, cutoff=0.4)
    hint = f" Near it: {', '.join(near)}." if near else ""
    raise SourceError(f"There is no '{name}' under the sources root ({shown}).{hint}")


def find_file(name: str, roots: Sequence[Path]) -> Path:
    """Return the file that `name` means under the first root that has it; raise `SourceError`."""
    for root in roots:
        path = (root / name).resolve()
        if path.is_relative_to(root.resolve()) and path.is_file():
            return path
    shown = ", ".join(str(root) for root in roots)
    raise SourceError(f"There is no file '{name}' under the sources root ({shown}).")


def _names(roots: Sequence[Path]) -> list[str]:
    """Return relative paths two levels deep, at most a thousand, with checkpoints' prefixes."""
    names: set[str] = set()
    for root in roots:
        for pattern in ("*", "*/*"):
            for path in root.glob(pattern):
                relative = path.relative_to(root)
                names.add(str(relative))
                if path.suffix in {".meta", ".index"}:
                    names.add(str(relative.with_suffix("")))
                if len(names) > 1000:
                    return sorted(names)
    return sorted(names)


def _escaped(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)
