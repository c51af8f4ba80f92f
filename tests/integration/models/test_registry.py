"""The registry on a real disk: published whole or not at all, whatever is damaged later."""

import hashlib
import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from worker.errors import (
    ConflictError,
    InvalidRequestError,
    ModelNotFoundError,
    ModelUnavailableError,
)
from worker.models import registry as registry_module
from worker.models.manifest import FORMAT, Manifest, ManifestDraft, ModelRef, Tensor
from worker.models.preprocessing import Preprocessing
from worker.models.registry import Registry

GRAPH = b"a frozen graph" * 1000


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "graph.pb"
    path.write_bytes(GRAPH)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def registry(root: Path) -> Registry:
    return Registry(root)


def _draft(name: str = "cats-dogs", **source: str) -> ManifestDraft:
    return ManifestDraft(
        name=name,
        inputs=[Tensor(name="x:0", shape=[None, 8, 8, 3], dtype="float32")],
        outputs=[Tensor(name="y:0", shape=[None, 2], dtype="float32")],
        labels=["cat", "dog"],
        preprocessing=Preprocessing(size=(8, 8)),
        source=source,
    )


def _files(root: Path) -> set[str]:
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


# -- publishing -------------------------------------------------------------------------------


def test_an_accelerated_version_has_both_files(
    registry: Registry, graph: Path, root: Path, tmp_path: Path
) -> None:
    converted = tmp_path / "converted"
    converted.write_bytes(b"the same in ONNX")
    draft = _draft().model_copy(update={"runtime": "onnxruntime"})
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
    draft = _draft().model_copy(update={"runtime": "onnxruntime"})
    with pytest.raises(ValidationError):
        registry.publish(draft, graph)
    with pytest.raises(FileNotFoundError):
        registry.publish(draft, graph, accelerated=root / "missing")
    assert _files(root) == set()


def test_a_published_version_is_whole(registry: Registry, graph: Path, root: Path) -> None:
    manifest = registry.publish(_draft(), graph)
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
    registry.publish(_draft(), graph)
    assert stat.S_IMODE((root / "cats-dogs" / "1").stat().st_mode) == 0o700


def test_versions_are_counted_and_their_numbers_never_used_again(
    registry: Registry, graph: Path
) -> None:
    for version in (1, 2, 3):
        assert registry.publish(_draft(), graph).version == version
    registry.set_alias("cats-dogs", "stable", 1)
    registry.retire("cats-dogs", 3)
    assert registry.publish(_draft(), graph).version == 4
    assert registry.publish(_draft("birds"), graph).version == 1


def test_publishing_moves_the_alias_that_was_asked_for(registry: Registry, graph: Path) -> None:
    registry.publish(_draft(), graph)
    registry.publish(_draft(), graph, alias="canary")
    assert registry.model("cats-dogs").aliases == {"stable": 1, "canary": 2}
    assert registry.resolve(ModelRef.parse("cats-dogs")).version == 1
    assert registry.resolve(ModelRef.parse("cats-dogs@canary")).version == 2


def test_publications_at_once_get_a_version_each(root: Path, graph: Path) -> None:
    together = threading.Barrier(8)

    def publish(_: int) -> int:
        together.wait()
        return Registry(root).publish(_draft(), graph).version

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(publish, range(8))) == list(range(1, 9))
    assert Registry(root).model("cats-dogs").aliases == {"stable": 8}


def test_a_job_that_runs_twice_publishes_once(registry: Registry, graph: Path) -> None:
    first = registry.publish(_draft(job="one"), graph)
    assert registry.publish(_draft(job="one"), graph) == first
    assert registry.publish(_draft(job="two"), graph).version == 2
    assert registry.publish(_draft(job="one"), graph) == first
    assert registry.model("cats-dogs").aliases == {"stable": 2}


def test_a_job_that_died_before_it_moved_the_alias_moves_it_when_it_runs_again(
    root: Path, graph: Path
) -> None:
    Registry(root).publish(_draft(job="one"), graph)
    (root / "cats-dogs" / "aliases.json").unlink()
    again = Registry(root)
    assert again.publish(_draft(job="one"), graph).version == 1
    assert again.resolve(ModelRef.parse("cats-dogs")).version == 1


def test_a_publication_that_fails_leaves_nothing(
    registry: Registry, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graph: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        registry.publish(_draft(), tmp_path / "missing.pb")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(registry_module, "write_durably", full)
    with pytest.raises(OSError, match="No space"):
        registry.publish(_draft(), graph)
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
    registry.publish(_draft(), graph)
    assert not old.exists()
    assert young.exists()


@pytest.mark.parametrize(("name", "alias"), [("../up", "stable"), ("ok", "STABLE"), ("", "stable")])
def test_bad_names_are_never_published(
    registry: Registry, root: Path, graph: Path, name: str, alias: str
) -> None:
    with pytest.raises(InvalidRequestError):
        registry.publish(_draft(name), graph, alias)
    assert not root.exists()


# -- reading ----------------------------------------------------------------------------------


def test_an_empty_registry_has_no_models(registry: Registry) -> None:
    assert registry.names() == []
    assert registry.stable() == []
    with pytest.raises(ModelNotFoundError, match="none yet"):
        registry.model("cats-dogs")


def test_what_lies_about_in_the_folder_is_no_model(
    registry: Registry, root: Path, graph: Path
) -> None:
    registry.publish(_draft(), graph)
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
    registry.publish(_draft(), graph)
    registry.publish(_draft("birds"), graph)
    for ref in ("whales", "whales@2", "whales@canary"):
        with pytest.raises(ModelNotFoundError, match="whales"):
            registry.resolve(ModelRef.parse(ref))
    with pytest.raises(ModelNotFoundError, match="birds, cats-dogs"):
        registry.resolve(ModelRef.parse("whales"))


def test_an_unknown_version_is_answered_with_those_that_there_are(
    registry: Registry, graph: Path
) -> None:
    registry.publish(_draft(), graph)
    registry.publish(_draft(), graph)
    for ref in ("cats-dogs@3", "cats-dogs@canary"):
        with pytest.raises(ModelNotFoundError, match=r"Versions: 1, 2; aliases: stable \(2\)\."):
            registry.resolve(ModelRef.parse(ref))


def test_another_process_sees_a_new_version_at_once(root: Path, graph: Path) -> None:
    ours, theirs = Registry(root), Registry(root)
    theirs.publish(_draft(), graph)
    assert ours.resolve(ModelRef.parse("cats-dogs")).version == 1
    theirs.publish(_draft(), graph)
    assert ours.resolve(ModelRef.parse("cats-dogs")).version == 2


# -- aliases and retirement -------------------------------------------------------------------


def test_an_alias_moves_to_a_version_that_there_is(registry: Registry, graph: Path) -> None:
    registry.publish(_draft(), graph)
    registry.publish(_draft(), graph)
    registry.set_alias("cats-dogs", "stable", 1)
    assert registry.model("cats-dogs").aliases == {"stable": 1}
    with pytest.raises(ModelNotFoundError):
        registry.set_alias("cats-dogs", "stable", 3)
    with pytest.raises(ModelNotFoundError):
        registry.set_alias("birds", "stable", 1)
    assert registry.model("cats-dogs").aliases == {"stable": 1}


def test_an_alias_that_another_process_moves_is_seen_at_once(
    registry: Registry, graph: Path, root: Path
) -> None:
    for version in range(1, 6):
        Registry(root).publish(_draft(), graph)
        assert registry.resolve(ModelRef("cats-dogs", None, None)).version == version
    for version in (1, 4, 2):
        Registry(root).set_alias("cats-dogs", "stable", version)
        assert registry.resolve(ModelRef("cats-dogs", None, None)).version == version


def test_aliases_that_look_as_those_before_them_are_seen_all_the_same(
    registry: Registry, graph: Path, root: Path
) -> None:
    for _ in range(2):
        registry.publish(_draft(), graph)
    file = root / "cats-dogs" / "aliases.json"
    found, content = file.stat(), file.read_bytes()
    assert registry.model("cats-dogs").aliases == {"stable": 2}
    # As where an inode is used again within one tick of the kernel's clock.
    file.write_bytes(content.replace(b"2", b"1"))
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert registry.model("cats-dogs").aliases == {"stable": 1}


def test_a_version_in_use_by_an_alias_cannot_be_retired(registry: Registry, graph: Path) -> None:
    registry.publish(_draft(), graph)
    with pytest.raises(ConflictError, match="'stable'"):
        registry.retire("cats-dogs", 1)
    assert registry.resolve(ModelRef.parse("cats-dogs@1")).version == 1


def test_a_retired_version_is_closed_to_new_jobs_but_not_to_those_that_have_it(
    registry: Registry, graph: Path
) -> None:
    registry.publish(_draft(), graph)
    registry.publish(_draft(), graph)
    registry.retire("cats-dogs", 1)
    with pytest.raises(ModelNotFoundError, match="was retired"):
        registry.resolve(ModelRef.parse("cats-dogs@1"))
    with pytest.raises(ModelNotFoundError, match="was retired"):
        registry.set_alias("cats-dogs", "stable", 1)
    assert [m.version for m in registry.model("cats-dogs").versions] == [2]
    assert registry.manifest("cats-dogs", 1).version == 1
    assert registry.graph_path("cats-dogs", 1).is_file()


def test_an_alias_never_comes_to_mean_a_version_that_is_retired_meanwhile(
    root: Path, graph: Path
) -> None:
    for _ in range(20):
        registry = Registry(root)
        registry.publish(_draft(), graph)
        version = registry.publish(_draft(), graph).version - 1
        together = threading.Barrier(2)

        def set_alias(version: int = version, together: threading.Barrier = together) -> None:
            together.wait()
            Registry(root).set_alias("cats-dogs", "canary", version)

        def retire(version: int = version, together: threading.Barrier = together) -> None:
            together.wait()
            Registry(root).retire("cats-dogs", version)

        with ThreadPoolExecutor(2) as pool:
            done = [pool.submit(set_alias), pool.submit(retire)]
            assert len([one for one in done if one.exception()]) == 1
        canary = Registry(root).model("cats-dogs").aliases.get("canary")
        assert canary is None or Registry(root).resolve(ModelRef("cats-dogs", canary, None))


# -- damage -----------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"name": "cats-dogs"}'])
def test_a_damaged_manifest_is_said_and_does_not_hide_other_versions(
    registry: Registry, root: Path, graph: Path, content: bytes
) -> None:
    registry.publish(_draft(), graph)
    registry.publish(_draft(), graph)
    (root / "cats-dogs" / "1" / "manifest.json").write_bytes(content)
    fresh = Registry(root)
    with pytest.raises(ModelUnavailableError, match=r"manifest of cats-dogs@1 cannot be read"):
        fresh.resolve(ModelRef.parse("cats-dogs@1"))
    model = fresh.model("cats-dogs")
    assert [m.version for m in model.versions] == [2]
    assert "cats-dogs@1" in model.damaged[0]
    assert fresh.resolve(ModelRef.parse("cats-dogs")).version == 2
    assert fresh.publish(_draft(job="next"), graph).version == 3


def _change(root: Path, **fields: Any) -> None:
    """Have the manifest of version 1 say something else, as another Permafrost may have it."""
    path = root / "cats-dogs" / "1" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_what_a_newer_permafrost_adds_to_a_manifest_is_passed_over(
    registry: Registry, root: Path, graph: Path
) -> None:
    published = registry.publish(_draft(), graph)
    prepared = published.preprocessing
    assert prepared is not None
    _change(
        root,
        added={"by": "a newer one"},
        preprocessing={**prepared.model_dump(), "added": None},
        inputs=[{**tensor.model_dump(), "added": 1} for tensor in published.inputs],
        basis={
            "kind": "assumed",
            "reasons": ["because"],
            "added": 1,
            "alternatives": [
                {"preprocessing": {"preset": "raw"}, "reason": "one", "added": 1},
                {"preprocessing": {"preset": "raw", "added": 1}, "reason": "not understood"},
            ],
        },
    )
    found = Registry(root).manifest("cats-dogs", 1)
    assert found.model_copy(update={"basis": None}) == published
    assert found.basis is not None
    assert [other.reason for other in found.basis.alternatives] == ["one"]
    _change(root, basis={"kind": "dreamt"})
    assert Registry(root).manifest("cats-dogs", 1).basis is None


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"format": FORMAT + 1}, f"knows {FORMAT}. Upgrade this installation"),
        ({"format": FORMAT + 1, "inputs": "something else"}, f"the format {FORMAT + 1}"),
        ({"scores": "ranks"}, "does not know the scores 'ranks'. Upgrade"),
        ({"runtime": "another"}, "does not know the runtime 'another'"),
        ({"digest": "0" * 32}, "hang on more than this Permafrost knows"),
    ],
)
def test_what_answers_hang_on_and_is_not_known_is_said_and_does_not_hide_other_versions(
    registry: Registry, root: Path, graph: Path, fields: dict[str, Any], says: str
) -> None:
    registry.publish(_draft(), graph)
    registry.publish(_draft(), graph)
    _change(root, **fields)
    fresh = Registry(root)
    with pytest.raises(ModelUnavailableError, match=r"cats-dogs@1 .*newer") as refused:
        fresh.resolve(ModelRef.parse("cats-dogs@1"))
    assert says in refused.value.message
    model = fresh.model("cats-dogs")
    assert [m.version for m in model.versions] == [2]
    assert model.damaged == (refused.value.message,)
    assert fresh.names() == ["cats-dogs"]


def test_a_manifest_without_a_digest_is_of_an_older_permafrost(
    registry: Registry, root: Path, graph: Path
) -> None:
    published = registry.publish(_draft(), graph)
    path = root / "cats-dogs" / "1" / "manifest.json"
    fields = json.loads(path.read_text())
    assert fields.pop("digest") == published.digest
    path.write_text(json.dumps(fields))
    assert Registry(root).manifest("cats-dogs", 1) == published


def test_a_model_of_which_every_manifest_is_damaged_says_so(
    registry: Registry, root: Path, graph: Path
) -> None:
    registry.publish(_draft(), graph)
    registry.publish(_draft("birds"), graph)
    (root / "cats-dogs" / "1" / "manifest.json").write_text("")
    fresh = Registry(root)
    with pytest.raises(ModelUnavailableError):
        fresh.model("cats-dogs")
    assert [m.name for m in fresh.stable()] == ["birds"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"stable": "two"}', b'{"stable": null}'])
def test_damaged_aliases_are_said_and_can_be_set_again(
    registry: Registry, root: Path, graph: Path, content: bytes
) -> None:
    registry.publish(_draft(), graph)
    registry.publish(_draft("birds"), graph)
    (root / "cats-dogs" / "aliases.json").write_bytes(content)
    with pytest.raises(ModelUnavailableError, match="aliases of model 'cats-dogs'"):
        registry.resolve(ModelRef.parse("cats-dogs"))
    assert registry.resolve(ModelRef.parse("cats-dogs@1")).version == 1
    assert [m.name for m in registry.stable()] == ["birds"]
    registry.set_alias("cats-dogs", "stable", 1)
    assert registry.resolve(ModelRef.parse("cats-dogs")).version == 1


def test_a_manifest_reads_back_as_it_was_written(
    registry: Registry, root: Path, graph: Path
) -> None:
    manifest = registry.publish(_draft(), graph)
    text = (root / "cats-dogs" / "1" / "manifest.json").read_text()
    assert Manifest.model_validate_json(text) == manifest
    assert json.loads(text)["format"] == 1
