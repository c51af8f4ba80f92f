"""Which modules the client consists of, and what they are called where it is installed.

Other people's projects have folders named `api` and `worker` too, so none of that name may be
installed. What is installed is one package `permafrost`, whose modules are those of this repository
under other names. Nothing is listed twice: to it belongs the folder `api/client`, and whatever that
and the commands import.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# What is called what. `api` itself is the server and stays out.
NAMES = {"api.client": "permafrost", "api.cli": "permafrost.cli", "worker": "permafrost.shared"}
_CLIENT, _COMMANDS = "api.client", "api.cli"
_IMPORT = re.compile(
    rf"^(\s*from )({'|'.join(map(re.escape, NAMES))})(?=[.\s])", flags=re.MULTILINE
)
_OURS = ("api", "worker", "freezing", "deploy")


class Module(NamedTuple):
    """A module as it is installed."""

    place: str  # relative to where packages are installed
    text: str


def modules(root: Path) -> list[Module]:
    """Return the modules of the client whose sources lie below `root`."""
    found = _closure(root)
    return [_renamed(name, path, root) for name, path in sorted(found.items())]


def _closure(root: Path) -> dict[str, Path]:
    """Return name and file of the client's modules, and of all that these import."""
    found: dict[str, Path] = {}
    own = root.joinpath(*_CLIENT.split(".")).glob("[!_]*.py")
    waiting = [_COMMANDS, _CLIENT, *(f"{_CLIENT}.{path.stem}" for path in own)]
    while waiting:
        name = waiting.pop()
        path = _path(root, name)
        if name in found or path is None or not name.startswith(tuple(NAMES)):
            continue
        found[name] = path
        for imported in _imports(ast.parse(path.read_text(encoding="utf-8"))):
            parts = imported.split(".")
            waiting += [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
    return found


def _path(root: Path, name: str) -> Path | None:
    place = root.joinpath(*name.split("."))
    candidates = (place / "__init__.py", place.with_suffix(".py"))
    return next((path for path in candidates if path.is_file()), None)


def _imports(node: ast.AST) -> Iterator[str]:
    """Give the names of all that is imported somewhere, less what only type checkers see."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        yield from _imports(child)


def _renamed(name: str, path: Path, root: Path) -> Module:
    text = _IMPORT.sub(lambda found: found[1] + NAMES[found[2]], path.read_text(encoding="utf-8"))
    for imported in _imports(ast.parse(text)):
        if imported.split(".")[0] in _OURS:
            raise ValueError(f"{path.relative_to(root)} imports {imported} in a way not renamed.")
    old = next(prefix for prefix in NAMES if name == prefix or name.startswith(f"{prefix}."))
    place = (NAMES[old] + name.removeprefix(old)).replace(".", "/")
    return Module(f"{place}/__init__.py" if path.name == "__init__.py" else f"{place}.py", text)
