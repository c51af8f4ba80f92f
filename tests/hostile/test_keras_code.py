"""Keras files that would run code: refused by what they hold, and nothing of them runs.

They are opened in a process that is not confined, so that it is the reading that holds.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from freezing.process import freeze
from freezing.sources.keras_audit import UnsafeSourceError, clean_config, parse_config
from tests.support import hostile_keras
from worker.contract.source_requests import FreezeRequest
from worker.errors import PermafrostError, SourceError
from worker.models.registry import Registry
from worker.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

_ROOT = Path(__file__).resolve().parents[2]
_TIME_LIMIT_S = 300


def _open(folder: Path, paths: list[Path], **order: Any) -> dict[str, Any]:
    """Open the files in a process of their own, and return what became of each."""
    work = folder / "tmp"
    work.mkdir(exist_ok=True)
    whole = {"paths": [str(path) for path in paths], "allow_code": False, "mutations": 0, **order}
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.keras_child"],
        input=json.dumps({"warm": [], **whole}),
        capture_output=True,
        text=True,
        cwd=_ROOT,
        timeout=_TIME_LIMIT_S,
        env={**os.environ, "TMPDIR": str(work), "CUDA_VISIBLE_DEVICES": "-1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_no_file_runs_code_of_its_own(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    files = dict(hostile_keras.files(tmp_path, marker))
    assert len(files) > 400
    warm = hostile_keras.benign(tmp_path / "warm")
    found = _open(tmp_path, list(files.values()), warm=[str(path) for path in warm])
    assert not marker.exists()
    for name, path in files.items():
        outcome = found[str(path)]
        assert outcome["seen"] == [], name
        if name == "pickles":
            assert outcome["code"] == "bad_source", name
            continue
        assert outcome["code"] == "unsafe_source", (name, outcome)
        message = outcome["message"]
        assert "model.export(FOLDER)" in message, name
        assert "Traceback" not in message, name


def test_what_an_operator_allows_does_run_and_is_seen(tmp_path: Path) -> None:
    """Without this, the tests above could pass by seeing nothing."""
    import keras

    marker = tmp_path / "marker"
    path = tmp_path / "code.keras"
    inputs = keras.layers.Input([4])
    scaled = keras.layers.Lambda(_touching(str(marker)), output_shape=(4,), name="twice")(inputs)
    keras.Model(inputs, keras.layers.Dense(2)(scaled)).save(path)
    marker.unlink(missing_ok=True)
    outcome = _open(tmp_path, [path], allow_code=True)[str(path)]
    assert outcome["code"] == "opened", outcome
    assert marker.exists()
    assert any("marker" in one for one in outcome["seen"])
    assert any("marshal" in one for one in outcome["seen"])


def _touching(marker: str) -> Any:
    return eval(  # noqa: S307 - made here
        f"lambda x: (open({marker!r}, 'w').close(), x * 2.0)[1]"
    )


def test_what_reaches_other_files_is_refused_even_where_code_is_allowed(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    never = ("TFSMLayer", "Lambda io.write_file", "Lambda keras.", "in a file", "a type as a")
    files = {
        name: path
        for name, path in hostile_keras.files(tmp_path, marker)
        if any(one in name for one in never)
    }
    assert len(files) > 20
    found = _open(tmp_path, list(files.values()), allow_code=True)
    assert not marker.exists()
    for name, path in files.items():
        assert found[str(path)]["code"] == "unsafe_source", name
        assert "PERMAFROST_ALLOW_KERAS_CODE" not in found[str(path)]["message"], name


@pytest.mark.parametrize("seed", [1, 2])
def test_no_change_of_a_configuration_makes_it_run_anything(tmp_path: Path, seed: int) -> None:
    warm = [str(path) for path in hostile_keras.benign(tmp_path)]
    found = _open(tmp_path, [], warm=warm, mutations=250, seed=seed)["mutations"]
    assert found["seen"] == [], found
    assert found["codes"].keys() <= {"unsafe_source", "bad_source", "opened", "out_of_memory"}
    assert found["codes"]["unsafe_source"] > 50


def test_a_freeze_refuses_what_the_reading_refuses(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    name = "SlicingOpLambda keras.models.model_from_json in two.h5"
    path = dict(hostile_keras.files(tmp_path, marker))[name]
    (tmp_path / "work").mkdir()
    with pytest.raises(PermafrostError, match=r"'target'.*calls tf\.keras\.models") as error:
        freeze(
            FreezeRequest.parse({"name": "code"}),
            path,
            workdir=tmp_path / "work",
            registry=Registry(tmp_path / "models"),
            job_id="job-1",
            settings=Settings(data=tmp_path),
            on_log=lambda _: None,
            cancelled=lambda: False,
        )
    assert error.value.code == "unsafe_source"
    assert not marker.exists()


# -- what is small in a file and large in memory or time ------------------------------------------


def _layer(kind: str, name: str, takes: list[list[Any]], **config: Any) -> dict[str, Any]:
    nodes = [[[*one, 0, {}]] for one in takes]
    return {
        "class_name": kind,
        "config": {"name": name, **config},
        "name": name,
        "inbound_nodes": nodes,
    }


def _functional(layers: list[dict[str, Any]], last: str, name: str = "net") -> dict[str, Any]:
    shape = {"batch_input_shape": [None, 4], "dtype": "float32"}
    return {
        "class_name": "Functional",
        "config": {
            "name": name,
            "layers": [_layer("InputLayer", "in", [], **shape), *layers],
            "input_layers": [["in", 0, 0]],
            "output_layers": [[last, 0, 0]],
        },
    }


def _doubling(depth: int) -> dict[str, Any]:
    """Return a model that uses one twice that uses one twice, and so on."""
    model = _functional([_layer("Dense", "d", [["in", 0]], units=4)], "d", "m0")
    for level in range(1, depth):
        inner = {
            **model,
            "name": f"m{level - 1}",
            "inbound_nodes": [[["in", 0, 0, {}]], [[f"m{level - 1}", 1, 0, {}]]],
        }
        model = _functional([inner], f"m{level - 1}", f"m{level}")
    return model


def _deep(depth: int) -> dict[str, Any]:
    layer: dict[str, Any] = {"class_name": "Dense", "config": {"name": "d", "units": 4}}
    for level in range(depth):
        layer = {"class_name": "TimeDistributed", "config": {"name": f"t{level}", "layer": layer}}
    return {"class_name": "Sequential", "config": {"name": "net", "layers": [layer]}}


_TOO_MUCH: dict[str, tuple[Any, str]] = {
    "doubling": (_doubling(25), "too many to be loaded"),
    "deep": (_deep(60), "more layers in layers"),
    "in a circle": (
        _functional(
            [
                _layer("Dense", "a", [["b", 0]], units=4),
                _layer("Dense", "b", [["a", 0]], units=4),
            ],
            "b",
        ),
        "waits for itself",
    ),
    "by itself": (_functional([_layer("Dense", "a", [["a", 0]], units=4)], "a"), "waits for it"),
    "not there": (_functional([_layer("Dense", "a", [["x", 0]], units=4)], "a"), "layer 'x'"),
    "never made": (
        _functional(
            [_layer("Dense", "a", [["in", 0]], units=4), _layer("Dense", "b", [["a", 7]], units=4)],
            "b",
        ),
        "the call 7 of the layer 'a'",
    ),
}


@pytest.mark.parametrize("case", _TOO_MUCH)
def test_what_would_never_end_is_refused(case: str) -> None:
    config, said = _TOO_MUCH[case]
    with pytest.raises(UnsafeSourceError, match=said):
        clean_config(config, "model.h5", allowed=False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"class_name": "Sequential", "class_name": "Lambda", "config": {}}', "twice"),
        ('{"class_name": "Sequential", "config": ' + "[" * 100_000, "nested too deeply"),
        ('{"class_name": "Sequential", "config": ' + "9" * 10_000 + "}", "not JSON"),
    ],
)
def test_json_that_readers_differ_on_is_refused(text: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        parse_config(text, "model.h5")


def test_a_model_that_memory_does_not_hold_is_refused_with_the_limit(tmp_path: Path) -> None:
    source = hostile_keras.benign(tmp_path)[0]
    config = hostile_keras.read(source)
    layer = next(one for one in config["config"]["layers"] if one["config"]["name"] == "target")
    layer["config"]["units"] = 2**31 - 1
    layer.pop("build_config", None)
    hostile_keras.write(source, tmp_path / "large.keras", config)
    (tmp_path / "work").mkdir()
    with pytest.raises(PermafrostError, match="PERMAFROST_FREEZE_MEMORY_BYTES") as error:
        freeze(
            FreezeRequest.parse({"name": "large"}),
            tmp_path / "large.keras",
            workdir=tmp_path / "work",
            registry=Registry(tmp_path / "models"),
            job_id="job-1",
            settings=Settings(data=tmp_path, freeze_memory_bytes=3 * 2**30),
            on_log=lambda _: None,
            cancelled=lambda: False,
        )
    assert error.value.code == "out_of_memory"
