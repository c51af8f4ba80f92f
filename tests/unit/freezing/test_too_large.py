"""Models of more than 2 GiB: refused before anything is read. None of that size is made here."""

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from freezing.converting.freeze import TooLargeToFreezeError
from freezing.sources.checkpoint_values import CheckpointValues
from tests.unit.freezing import networks
from tests.unit.freezing.networks import v1
from tests.unit.freezing.saved import Saved, freeze, save


def enlarge(saved: Saved, width: int | None) -> None:
    """Let the graph say that its layer is so wide, or not say anything of its weights' shape."""
    path = Path(f"{saved.prefix}.meta")
    meta = v1.MetaGraphDef()
    meta.ParseFromString(path.read_bytes())
    shapes = {"dense/weights": None if width is None else [192, width]}
    if width is not None:
        shapes["dense/biases"] = [width]
    for node in meta.graph_def.node:
        node.attr.pop("_output_shapes", None)
        if node.name in shapes:
            node.attr["shape"].shape.CopyFrom(tf.TensorShape(shapes[node.name]).as_proto())
    path.write_bytes(meta.SerializeToString())


@pytest.fixture
def never_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(self: Any, nodes: Any) -> Any:
        raise AssertionError("variables were read")

    monkeypatch.setattr(CheckpointValues, "read", read)


@pytest.mark.usefixtures("never_read")
def test_the_size_that_the_graph_tells_is_refused_before_variables_are_read(
    tmp_path: Path,
) -> None:
    saved = save(tmp_path / "source", networks.plain)
    enlarge(saved, 4_000_000)
    with pytest.raises(TooLargeToFreezeError, match=r"2\.9 GiB in 2 variables.* 2 GiB") as refused:
        freeze(saved.folder, tmp_path)
    assert refused.value.code == "too_large_to_freeze"
    assert not (tmp_path / "graph.pb").exists()


@pytest.mark.usefixtures("never_read")
def test_the_size_that_only_the_index_tells_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = save(tmp_path / "source", networks.plain)
    enlarge(saved, None)
    made = CheckpointValues.__init__

    def enlarged(self: Any, *arguments: Any) -> None:
        made(self, *arguments)
        self._shapes = {**self._shapes, "dense/weights": [192, 4_000_000]}

    monkeypatch.setattr(CheckpointValues, "__init__", enlarged)
    with pytest.raises(TooLargeToFreezeError, match=r"2\.9 GiB"):
        freeze(saved.folder, tmp_path)


def test_a_variable_whose_shape_the_graph_does_not_know_is_frozen(tmp_path: Path) -> None:
    saved = save(tmp_path / "source", networks.plain)
    enlarge(saved, None)
    freeze(saved.folder, tmp_path)
