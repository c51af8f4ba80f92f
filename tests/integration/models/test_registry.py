"""The registry of models: publishing, by several processes at once, and reading."""

import hashlib
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.support.drafts import GRAPH, draft_of
from worker.errors import (
    InvalidRequestError,
    ModelNotFoundError,
)
from worker.models import registry as registry_module
from worker.models.manifest import ModelRef
from worker.models.registry import Registry


def _files(root: Path) -> set[str]:
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_an_accelerated_version_has_both_files(
    registry: Registry, graph: Path, root: Path, tmp_path: Path
) -> None:
    converted = tmp_path / "converted"
    converted.write_bytes(b"the same in ONNX")
    draft = draft_of().model_copy(update={"runtime": "onnxruntime"})
    manifest = registry.publish(draft, graph, accelerated=converted)
    assert _files(root) == {
        "cats-dogs/aliases.json",
        "cats-dogs/1/graph.pb",
        "cats-dogs/1/graph.onnx",
        "cats-dogs/1/manifest.json",
    }
    assert registry.served_path(manifest).read_bytes() == b"the same in ONNX"
    assert manifest.served == (hashlib.sha256(b"the same in ONNX").hexdigest(), 16)
    assert Registry(root).manifest("cats-dogs", 1) == manifest


def test_an_accelerated_version_is_not_published_without_its_file(
    registry: Registry, graph: Path, root: Path
) -> None:
    draft = draft_of().model_copy(update={"runtime": "onnxruntime"})
    with pytest.raises(ValidationError):
        registry.publish(draft, graph)
    with pytest.raises(FileNotFoundError):
        registry.publish(draft, graph, accelerated=root / "missing")
    assert _files(root) == set()


def test_a_published_version_is_whole(registry: Registry, graph: Path, root: Path) -> None:
    manifest = registry.publish(draft_of(), graph)
    assert (manifest.version, manifest.bytes) == (1, len(GRAPH))
    assert manifest.sha256 == hashlib.sha256(GRAPH).hexdigest()
    assert _files(root) == {
        "cats-dogs/aliases.json",
        "cats-dogs/1/graph.pb",
        "cats-dogs/1/manifest.json",
    }
    assert registry.graph_path("cats-dogs", 1).read_bytes() == GRAPH
    assert Registry(root).manifest("cats-dogs", 1) == manifest
    assert Registry(root).resolve(ModelRef.parse("cats-dogs")) == manifest
    assert graph.exists()


def test_only_its_user_may_read_what_is_published(
    registry: Registry, graph: Path, root: Path
) -> None:
    registry.publish(draft_of(), graph)
    assert stat.S_IMODE((root / "cats-dogs" / "1").stat().st_mode) == 0o700


def test_versions_are_counted_and_their_numbers_never_used_again(
    registry: Registry, graph: Path
) -> None:
    for version in (1, 2, 3):
        assert registry.publish(draft_of(), graph).version == version
    registry.set_alias("cats-dogs", "stable", 1)
    registry.retire("cats-dogs", 3)
    assert registry.publish(draft_of(), graph).version == 4
    assert registry.publish(draft_of("birds"), graph).version == 1


def test_publishing_moves_the_alias_that_was_asked_for(registry: Registry, graph: Path) -> None:
    registry.publish(draft_of(), graph)
    registry.publish(draft_of(), graph, alias="canary")
    assert registry.model("cats-dogs").aliases == {"stable": 1, "canary": 2}
    assert registry.resolve(ModelRef.parse("cats-dogs")).version == 1
    assert registry.resolve(ModelRef.parse("cats-dogs@canary")).version == 2


def test_publications_at_once_get_a_version_each(root: Path, graph: Path) -> None:
    together = threading.Barrier(8)

    def publish(_: int) -> int:
        together.wait()
        return Registry(root).publish(draft_of(), graph).version

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(publish, range(8))) == list(range(1, 9))
    assert Registry(root).model("cats-dogs").aliases == {"stable": 8}


def test_a_job_that_runs_twice_publishes_once(registry: Registry, graph: Path) -> None:
    first = registry.publish(draft_of(job="one"), graph)
    assert registry.publish(draft_of(job="one"), graph) == first
    assert registry.publish(draft_of(job="two"), graph).version == 2
    assert registry.publish(draft_of(job="one"), graph) == first
    assert registry.model("cats-dogs").aliases == {"stable": 2}


def test_a_job_that_died_before_it_moved_the_alias_moves_it_when_it_runs_again(
    root: Path, graph: Path
) -> None:
    Registry(root).publish(draft_of(job="one"), graph)
    (root / "cats-dogs" / "aliases.json").unlink()
    again = Registry(root)
    assert again.publish(draft_of(job="one"), graph).version == 1
    assert again.resolve(ModelRef.parse("cats-dogs")).version == 1


def test_a_publication_that_fails_leaves_nothing(
    registry: Registry, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graph: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        registry.publish(draft_of(), tmp_path / "missing.pb")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(registry_module, "write_durably", full)
    with pytest.raises(OSError, match="No space"):
        registry.publish(draft_of(), graph)
    assert _files(root) == set()
    assert list((root / ".staging").iterdir()) == []
    assert registry.names() == []


def test_what_dead_processes_left_behind_is_cleared_away(
    registry: Registry, root: Path, graph: Path
) -> None:
    old, young = root / ".staging" / "old", root / ".staging" / "young"
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "graph.pb").write_bytes(GRAPH)
    os.utime(old, (0, 0))
    registry.publish(draft_of(), graph)
    assert not old.exists()
    assert young.exists()


@pytest.mark.parametrize(("name", "alias"), [("../up", "stable"), ("ok", "STABLE"), ("", "stable")])
def test_bad_names_are_never_published(
    registry: Registry, root: Path, graph: Path, name: str, alias: str
) -> None:
    with pytest.raises(InvalidRequestError):
        registry.publish(draft_of(name), graph, alias)
    assert not root.exists()


def test_an_empty_registry_has_no_models(registry: Registry) -> None:
    assert registry.names() == []
    assert registry.stable() == []
    with pytest.raises(ModelNotFoundError, match="none yet"):
        registry.model("cats-dogs")


def test_what_lies_about_in_the_folder_is_no_model(
    registry: Registry, root: Path, graph: Path
) -> None:
    registry.publish(draft_of(), graph)
    (root / "empty").mkdir()
    (root / "not a name" / "1").mkdir(parents=True)
    (root / "lost+found").mkdir()
    (root / "a-file").write_text("")
    (root / "cats-dogs" / "notes").mkdir()
    assert registry.names() == ["cats-dogs"]
    assert [m.version for m in registry.model("cats-dogs").versions] == [1]


def test_an_unknown_model_is_answered_with_those_that_there_are(
    registry: Registry, graph: Path
) -> None:
    registry.publish(draft_of(), graph)
    registry.publish(draft_of("birds"), graph)
    for ref in ("whales", "whales@2", "whales@canary"):
        with pytest.raises(ModelNotFoundError, match="whales"):
            registry.resolve(ModelRef.parse(ref))
    with pytest.raises(ModelNotFoundError, match="birds, cats-dogs"):
        registry.resolve(ModelRef.parse("whales"))


def test_an_unknown_version_is_answered_with_those_that_there_are(
    registry: Registry, graph: Path
) -> None:
    registry.publish(draft_of(), graph)
    registry.publish(draft_of(), graph)
    for ref in ("cats-dogs@3", "cats-dogs@canary"):
        with pytest.raises(ModelNotFoundError, match=r"Versions: 1, 2; aliases: stable \(2\)\."):
            registry.resolve(ModelRef.parse(ref))


def test_another_process_sees_a_new_version_at_once(root: Path, graph: Path) -> None:
    ours, theirs = Registry(root), Registry(root)
    theirs.publish(draft_of(), graph)
    assert ours.resolve(ModelRef.parse("cats-dogs")).version == 1
    theirs.publish(draft_of(), graph)
    assert ours.resolve(ModelRef.parse("cats-dogs")).version == 2
