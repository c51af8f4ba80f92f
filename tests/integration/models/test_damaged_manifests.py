"""Damaged manifests and aliases, and those of other versions of Permafrost."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.drafts import draft_of
from worker.errors import (
    ModelUnavailableError,
)
from worker.models.manifest import FORMAT, Manifest, ModelRef
from worker.models.registry import Registry


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"name": "cats-dogs"}'])
def test_a_damaged_manifest_is_said_and_does_not_hide_other_versions(
    registry: Registry, root: Path, graph: Path, content: bytes
) -> None:
    registry.publish(draft_of(), graph)
    registry.publish(draft_of(), graph)
    (root / "cats-dogs" / "1" / "manifest.json").write_bytes(content)
    fresh = Registry(root)
    with pytest.raises(ModelUnavailableError, match=r"manifest of cats-dogs@1 cannot be read"):
        fresh.resolve(ModelRef.parse("cats-dogs@1"))
    model = fresh.model("cats-dogs")
    assert [m.version for m in model.versions] == [2]
    assert "cats-dogs@1" in model.damaged[0]
    assert fresh.resolve(ModelRef.parse("cats-dogs")).version == 2
    assert fresh.publish(draft_of(job="next"), graph).version == 3


def _change(root: Path, **fields: Any) -> None:
    """Have the manifest of version 1 say something else, as another Permafrost may have it."""
    path = root / "cats-dogs" / "1" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_what_a_newer_permafrost_adds_to_a_manifest_is_passed_over(
    registry: Registry, root: Path, graph: Path
) -> None:
    published = registry.publish(draft_of(), graph)
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
    registry.publish(draft_of(), graph)
    registry.publish(draft_of(), graph)
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
    published = registry.publish(draft_of(), graph)
    path = root / "cats-dogs" / "1" / "manifest.json"
    fields = json.loads(path.read_text())
    assert fields.pop("digest") == published.digest
    path.write_text(json.dumps(fields))
    assert Registry(root).manifest("cats-dogs", 1) == published


def test_a_model_of_which_every_manifest_is_damaged_says_so(
    registry: Registry, root: Path, graph: Path
) -> None:
    registry.publish(draft_of(), graph)
    registry.publish(draft_of("birds"), graph)
    (root / "cats-dogs" / "1" / "manifest.json").write_text("")
    fresh = Registry(root)
    with pytest.raises(ModelUnavailableError):
        fresh.model("cats-dogs")
    assert [m.name for m in fresh.stable()] == ["birds"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"stable": "two"}', b'{"stable": null}'])
def test_damaged_aliases_are_said_and_can_be_set_again(
    registry: Registry, root: Path, graph: Path, content: bytes
) -> None:
    registry.publish(draft_of(), graph)
    registry.publish(draft_of("birds"), graph)
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
    manifest = registry.publish(draft_of(), graph)
    text = (root / "cats-dogs" / "1" / "manifest.json").read_text()
    assert Manifest.model_validate_json(text) == manifest
    assert json.loads(text)["format"] == 1
