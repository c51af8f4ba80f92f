"""The house: who may import whom, what is built where."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support.system import ROOT, clean_environment

# Who may import whom; everybody may import themselves.
MAY_IMPORT = {
    "worker": set[str](),
    "api": {"worker"},
    "freezing": {"worker"},
    "deploy": {"api", "freezing", "worker"},
}
HOUSES = {*MAY_IMPORT, "tests"}
FILES = [path for house in MAY_IMPORT for path in sorted((ROOT / house).rglob("*.py"))]
# The rooms of freezing/ from the ground up: each imports itself and what comes before it. What lies
# in no room, the pipeline, stands above them all.
LAYERS = (
    *("running", "graph", "sources", "auditing", "choosing", "converting", "optimising"),
    *("verifying", "proving", "inspecting", "publishing", ""),
)
# The rooms of api/, and which other rooms each may import. What lies in no room assembles them.
_SHARED = {"services", "access", "http", "submissions", "described"}
API_ROOMS = {
    "services": set[str](),
    "access": {"services"},
    "http": {"services"},
    "submissions": {"services", "access", "http"},
    "described": {"access"},
    "views": _SHARED,
    "pages": _SHARED,
    "server": {"services", "access", "http", "submissions", "views"},
    "client": set[str](),
    "cli": {"client"},
}
# The layers of worker/, by the longest path that fits. The ground of a room, such as the keys of
# Redis in jobs/, may stand lower than the rest of it.
WORKER_LAYERS = (
    ("errors", "version", "printable", "formatting", "out_of_memory", "loopback", "logging"),
    ("redis.address", "webhooks.public_addresses", "webhooks.targets", "webhooks.secrets"),
    ("settings", "settings_table"),
    ("redis",),
    ("archives", "auditing", "confinement"),
    ("jobs.keys", "jobs.scripts", "jobs.records", "jobs.log_lines"),
    ("contract.base", "contract.requests"),
    ("models",),
    ("images", "sources"),
    ("contract",),
    ("jobs",),
    ("credentials", "webhooks"),
    ("pool",),
    ("inference",),
    ("app", "tasks"),
)
# What the freezing worker's own process loads: it and all that it imports do without TensorFlow.
NO_TENSORFLOW = (
    *("freezing/child.py", "freezing/child_process.py", "freezing/fork_server.py"),
    *("freezing/job_inputs.py", "freezing/outcome.py", "freezing/process.py"),
    *("freezing/tasks.py", "freezing/running/", "freezing/graph/kinds.py"),
    *("freezing/publishing/examining.py", "freezing/publishing/audit_messages.py"),
    "freezing/publishing/safe_copy.py",
    *("freezing/sources/paths.py", "freezing/sources/readable_paths.py", "worker/sources/"),
    "freezing/sources/unpacking.py",
    *("freezing/sources/keras_archives.py", "freezing/inspecting/packages.py"),
    "freezing/verifying/answers.py",
)
TENSORFLOW_LIVES_IN = ("worker/inference/", "freezing/", "deploy/demo/")
# Where these may be imported: the API and the command line client must start fast and stay small.
HEAVY = {"tensorflow", "numpy", "keras", "h5py"}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def _imports(path: Path) -> Iterator[str]:
    """Yield the full names of all modules that a file imports, wherever it does."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{_name(path)} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_imports_go_one_way(path: Path) -> None:
    house = _name(path).split("/", 1)[0]
    imported = {name.split(".")[0] for name in _imports(path)} & HOUSES
    assert imported <= MAY_IMPORT[house] | {house}


def _layer(name: str) -> int:
    """Return the layer that a module of freezing/, by its full name, lies in."""
    parts = name.split(".")
    room = parts[1] if len(parts) > 1 and (ROOT / "freezing" / parts[1]).is_dir() else ""
    assert room in LAYERS, f"freezing/{room} is not among the layers"
    return LAYERS.index(room)


@pytest.mark.parametrize("path", [p for p in FILES if _name(p).startswith("freezing/")], ids=_name)
def test_the_layers_of_freezing_import_only_what_stands_below(path: Path) -> None:
    layer = _layer(_module(path))
    own = [name for name in _imports(path) if name.startswith("freezing.")]
    assert not [name for name in own if _layer(name) > layer]


def _worker_layer(name: str) -> int:
    """Return the layer that a module of worker/, by its full name, lies in."""
    path = name.removeprefix("worker").removeprefix(".")
    fitting = {
        place: number
        for number, layer in enumerate(WORKER_LAYERS)
        for place in layer
        if f"{path}.".startswith(f"{place}.")
    }
    assert fitting, f"{name} is not among the layers"
    return fitting[max(fitting, key=len)]


@pytest.mark.parametrize("path", [p for p in FILES if _name(p).startswith("worker/")], ids=_name)
def test_the_layers_of_worker_import_only_what_stands_below(path: Path) -> None:
    if path.parent.name == "worker" and path.name == "__init__.py":
        return
    layer = _worker_layer(_module(path))
    own = [name for name in _imports(path) if name.startswith("worker.")]
    assert not [name for name in own if _worker_layer(name) > layer]


def _module(path: Path) -> str:
    return _name(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


MODULES = {_module(path): path for path in FILES}


def _when_run(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what lies in a node, less what only type checkers see."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from _when_run(child)


def test_no_module_imports_itself_by_way_of_others() -> None:
    imports: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        names = {
            f"{node.module}.{alias.name}"
            for node in _when_run(_tree(path))
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        named = {name if name in MODULES else name.rpartition(".")[0] for name in names}
        imports[module] = (named & MODULES.keys()) - {module}
    assert len([*TopologicalSorter(imports).static_order()]) == len(MODULES)  # raises CycleError


def _imported(path: Path) -> set[str]:
    """Return the full names of all that a file imports, or what it imports does, wherever it is."""
    found: set[str] = set()
    waiting = [path]
    while waiting:
        for name in _imports(waiting.pop()):
            for module in (name, name.rpartition(".")[0]):
                if module not in found:
                    found.add(module)
                    waiting += [MODULES[module]] if module in MODULES else []
    return found


@pytest.mark.parametrize("place", NO_TENSORFLOW)
def test_what_the_worker_loads_leaves_tensorflow_to_the_child(place: str) -> None:
    paths = [path for path in FILES if _name(path).startswith(place)]
    assert paths
    for path in paths:
        heavy = {name.split(".")[0] for name in _imported(path)} & {"tensorflow", "keras", "h5py"}
        assert not heavy, _name(path)


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_tensorflow_is_imported_only_where_graphs_live(path: Path) -> None:
    if not _name(path).startswith(TENSORFLOW_LIVES_IN):
        assert not {name.split(".")[0] for name in _imports(path)} & {"tensorflow", "keras"}


@pytest.mark.parametrize("path", [p for p in FILES if _name(p).startswith("api/")], ids=_name)
def test_the_api_reaches_tasks_by_name_only(path: Path) -> None:
    closed = ("worker.inference", "worker.tasks", "worker.app", "worker.pool")
    assert not [name for name in _imports(path) if name.startswith(closed)]


@pytest.mark.parametrize("room", API_ROOMS)
def test_a_room_of_the_api_imports_only_what_its_readme_allows(room: str) -> None:
    for path in (ROOT / "api" / room).rglob("*.py"):
        rooms = {name.split(".")[1] for name in _imports(path) if name.startswith("api.")}
        assert rooms <= API_ROOMS[room] | {room}, _name(path)


def test_every_room_of_the_api_has_its_rule() -> None:
    rooms = {path.parent.name for path in (ROOT / "api").glob("*/__init__.py")}
    assert rooms == {*API_ROOMS}


def test_a_view_imports_no_view() -> None:
    for path in (ROOT / "api" / "views").glob("*.py"):
        assert not [name for name in _imports(path) if name.startswith("api.views")], _name(path)


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_redis_keys_are_built_in_one_place(path: Path) -> None:
    if _name(path) == "worker/jobs/keys.py":
        return
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not re.match(r"permafrost:[a-z]", node.value), node.value


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_the_environment_is_not_read_when_a_module_is_imported(path: Path) -> None:
    if path.name == "__main__.py":
        return
    for statement in _tree(path).body:
        if not isinstance(statement, ast.FunctionDef | ast.ClassDef):
            assert "os.environ[" not in ast.unparse(statement)
            assert "getenv(" not in ast.unparse(statement)


def _in_a_fresh_process(code: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env=clean_environment(PERMAFROST_DATA="/nonexistent"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_the_api_starts_without_tensorflow_and_without_redis() -> None:
    loaded = _in_a_fresh_process(
        "import sys\nfrom api import create_app\ncreate_app()\nprint(*sys.modules, sep='\\n')"
    )
    assert not HEAVY & set(loaded.split())


def test_the_command_line_client_starts_without_flask_celery_and_tensorflow() -> None:
    loaded = _in_a_fresh_process("import sys\nimport api.cli\nprint(*sys.modules, sep='\\n')")
    assert not (HEAVY | {"flask", "celery", "redis"}) & set(loaded.split())


def test_a_worker_application_is_found_where_celery_looks_for_it() -> None:
    found = _in_a_fresh_process(
        "from celery.app.utils import find_app\n"
        "app = find_app('worker.app')\n"
        "print(app.main, *app.amqp.queues)"
    )
    assert found.split() == ["permafrost", "interactive", "bulk"]


# Class names that stand twice on purpose, with the reason.
TWICE = {
    "Job",  # the record in Redis, and what the contract shows of it
    "_Part",  # the private base of each of two documents: refuses unknown fields
}


def test_a_class_name_stands_for_one_class() -> None:
    places: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(_name(path))
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert set(twice) == TWICE, twice
