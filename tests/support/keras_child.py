"""`python -m tests.support.keras_child`: opens Keras files without confinement, under watch.

Standard input holds `{"paths": [...], "allow_code": false, "mutations": 0}`; standard output gets
one JSON object: what became of each file, and what Python itself reported that a model must not do
(`sys.addaudithook`): programs, byte code, sources compiled, files written, modules of others.
"""

import copy
import json
import os
import random
import sys
import tempfile
import warnings
from pathlib import Path
from types import FrameType
from typing import Any

_FORBIDDEN = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"}
    | {"marshal.loads", "marshal.load", "code.__new__", "function.__new__", "pickle.find_class"}
    | {"socket.connect", "socket.bind", "ctypes.dlopen", "compile", "os.remove", "os.rename"}
    | {"shutil.rmtree", "shutil.copyfile", "os.putenv", "webbrowser.open", "exec"}
)
# What a library loads late, or compiles for itself, while it builds any model.
_OWN = ("keras", "tf_keras", "tensorflow", "numpy", "h5py", "google", "optree", "ml_dtypes")
_LOOK_BACK = 12  # frames
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """Collects what Python reports while it is on."""

    def __init__(self, folder: str) -> None:
        """Let files be written in `folder` alone."""
        self.seen: list[str] = []
        self.on = False
        self._folder = folder
        self._importing = 0
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "import":
            if str(arguments[0]).partition(".")[0] not in {*sys.stdlib_module_names, *_OWN, "h5py"}:
                self.seen.append(f"import {arguments[0]}")
        elif event == "open":
            path, _, flags = arguments
            written = isinstance(flags, int) and flags & _WRITES
            if written and not str(path).startswith((self._folder, "/dev/null")):
                self.seen.append(f"open {path} for writing")
        elif event in _FORBIDDEN and not self._by_library():
            self.seen.append(f"{event} {str(arguments)[:200]}")

    def _by_library(self) -> bool:
        """Whether the import system, or a library's own code at fixed places, does it."""
        frame: FrameType | None = sys._getframe(2)
        depth = 0
        while frame is not None and depth < _LOOK_BACK:
            depth += 1
            name = frame.f_code.co_filename
            if name.startswith("<frozen importlib") or "/inspect.py" in name:
                return True
            if name.endswith(
                ("collections/__init__.py", "dataclasses.py", "tempfile.py", "/ast.py")
            ):
                return True
            if "/shutil.py" in name or "tensorflow/python/autograph" in name:
                return True
            frame = frame.f_back
        return False


def main() -> None:
    """Open what standard input names."""
    warnings.simplefilter("ignore")
    order = json.load(sys.stdin)
    results = os.dup(1)
    os.dup2(2, 1)  # what libraries print
    from freezing.sources.opening import open_source
    from worker.errors import PermafrostError
    from worker.sources.choice import SourceChoice

    folder = tempfile.gettempdir()
    watch = Watch(folder)
    choice = SourceChoice(allow_code=order["allow_code"])
    outcomes: dict[str, Any] = {}

    def opened(path: str) -> Any:
        watch.seen.clear()
        watch.on = True
        try:
            open_source(Path(path), choice)
        except PermafrostError as error:
            code, message = error.code, error.message
        except MemoryError:
            code, message = "out_of_memory", ""
        else:
            code, message = "opened", ""
        finally:
            watch.on = False
        return {"code": code, "message": message, "seen": list(watch.seen)}

    for path in order["warm"]:  # what libraries load once
        open_source(Path(path), choice)
    for path in order["paths"]:
        outcomes[path] = opened(path)
    if order["mutations"]:
        outcomes["mutations"] = _mutate(order, opened)
    os.write(results, json.dumps(outcomes).encode())
    os._exit(0)


def _mutate(order: dict[str, Any], opened: Any) -> dict[str, Any]:
    """Change configurations that are in order at random, with what is dangerous; open each."""
    chance = random.Random(order["seed"])  # the parent says by which, and tells it on failure
    from tests.support.hostile_keras import DANGEROUS, read, write

    codes: dict[str, int] = {}
    seen = []
    for turn in range(order["mutations"]):
        source = Path(chance.choice(order["warm"]))
        config = copy.deepcopy(read(source))
        for _ in range(chance.choice((1, 1, 2, 3))):
            holder, key = chance.choice(_places(config))
            if chance.random() < 0.25 and isinstance(holder, dict):
                holder[chance.choice(("function", "module", "class_name", "registered_name"))] = (
                    chance.choice(DANGEROUS)
                )
            else:
                holder[key] = chance.choice(DANGEROUS)
        path = source.with_name(f"mutant{source.suffix}")
        write(source, path, config)
        outcome = opened(str(path))
        codes[outcome["code"]] = codes.get(outcome["code"], 0) + 1
        seen += [f"{turn}: {one}" for one in outcome["seen"]]
    return {"codes": codes, "seen": seen}


def _places(value: Any) -> list[tuple[Any, Any]]:
    found = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        keys = one.keys() if isinstance(one, dict) else range(len(one))
        for key in keys:
            found.append((one, key))
            if isinstance(one[key], dict | list):
                waiting.append(one[key])
    return found


if __name__ == "__main__":
    main()
