"""Manifests, and how requests name models."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from worker.errors import (
    GivesNoScoresError,
    InvalidRequestError,
    NotAClassifierError,
    TakesNoImagesError,
)
from worker.models.manifest import (
    Manifest,
    ModelRef,
    check_alias_name,
    check_model_name,
    is_model_name,
)

MANIFEST: dict[str, Any] = {
    "name": "cats-dogs",
    "inputs": [{"name": "x:0", "shape": [None, 8, 8, 3], "dtype": "float32"}],
    "outputs": [{"name": "y:0", "shape": None, "dtype": "float32"}],
    "labels": ["cat", "dog"],
    "preprocessing": {"size": [8, 8]},
    "version": 1,
    "sha256": "ab" * 32,
    "bytes": 10,
    "created_at": datetime(2026, 1, 2, tzinfo=UTC),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cats", ("cats", None, None)),
        ("Cats_2.0-x", ("Cats_2.0-x", None, None)),
        ("cats@3", ("cats", 3, None)),
        ("cats@007", ("cats", 7, None)),
        ("cats@stable", ("cats", None, "stable")),
        ("cats@canary-2", ("cats", None, "canary-2")),
    ],
)
def test_a_model_is_named_with_a_version_an_alias_or_neither(
    text: str, expected: tuple[str, int | None, str | None]
) -> None:
    assert ModelRef.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "@", "@1", "cats@", "cats@0", "cats@-1", "cats@1.5", "cats@1@2", "cats@STABLE"),
        *("cats@٣", "cats@1234567890", "../cats", "cats/1", ".cats", "-cats", "c a", "c\n"),
        *("é", "x" * 65, "cats@" + "x" * 33, "cats\0"),
    ],
)
def test_what_names_no_model_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        ModelRef.parse(text)


def test_names_are_checked_before_they_become_paths_and_keys() -> None:
    assert check_model_name("a" * 64) == "a" * 64
    assert check_alias_name("stable") == "stable"
    assert not is_model_name("a/b")
    with pytest.raises(InvalidRequestError, match="not a model name") as caught:
        check_model_name("x" * 10_000)
    assert len(caught.value.message) < 300


def test_a_manifest_has_defaults_for_what_need_not_be_said() -> None:
    manifest = Manifest.model_validate(MANIFEST)
    assert manifest.scores == "probabilities"
    assert manifest.classifying().preprocessing.layout == "NHWC"
    assert (manifest.source, manifest.report, manifest.format) == ({}, {}, 1)


def test_a_manifest_that_says_no_runtime_is_served_with_tensorflow() -> None:
    """As all were that were published before there was another one."""
    manifest = Manifest.model_validate(MANIFEST)
    assert (manifest.runtime, manifest.accelerated) == ("tensorflow", None)
    assert manifest.served == (MANIFEST["sha256"], MANIFEST["bytes"])


def test_an_accelerated_version_is_served_from_its_own_file() -> None:
    fields = {"runtime": "onnxruntime", "accelerated": {"sha256": "ef" * 32, "bytes": 7}}
    manifest = Manifest.model_validate({**MANIFEST, **fields})
    assert manifest.served == ("ef" * 32, 7)
    for wrong in ({"runtime": "tensorflow"}, {"accelerated": None}):
        with pytest.raises(ValidationError, match="only then"):
            Manifest.model_validate({**MANIFEST, **fields, **wrong})


@pytest.mark.parametrize(
    ("field", "error", "words"),
    [
        (
            "preprocessing",
            TakesNoImagesError,
            "cats-dogs@1 takes no images: its input is x:0 (float32",
        ),
        (
            "scores",
            GivesNoScoresError,
            "cats-dogs@1 gives no scores: its first output is y:0 (float32",
        ),
    ],
)
def test_a_version_that_does_not_classify_says_why(
    field: str, error: type[NotAClassifierError], words: str
) -> None:
    manifest = Manifest.model_validate({**MANIFEST, field: None})
    assert not manifest.classifies
    with pytest.raises(error) as refused:
        manifest.classifying()
    assert refused.value.message.startswith(words)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 0},
        {"bytes": 0},
        {"sha256": "short"},
        {"inputs": []},
        {"outputs": []},
        {"scores": "votes"},
        {"format": 2},
        {"preprocessing": {}},
        {"created_at": "yesterday"},
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Manifest.model_validate({**MANIFEST, **change})


def test_a_manifest_does_not_change() -> None:
    manifest = Manifest.model_validate(MANIFEST)
    with pytest.raises(ValidationError, match="frozen"):
        manifest.version = 2  # type: ignore[misc]  # as the test says


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "cd" * 32},
        {"labels": ["dog", "cat"]},
        {"labels": None},
        {"preprocessing": {"size": [8, 8], "color": "bgr"}},
        {"scores": "logits"},
        {"inputs": [{"name": "other:0", "shape": [None, 8, 8, 3], "dtype": "float32"}]},
        {"inputs": [{**MANIFEST["inputs"][0], "shape": [1, 8, 8, 3]}]},  # one image at a time
        {"outputs": [{"name": "other:0", "shape": None, "dtype": "float32"}]},
    ],
)
def test_the_digest_covers_all_that_decides_an_answer(change: dict[str, Any]) -> None:
    digest = Manifest.model_validate(MANIFEST).digest
    assert Manifest.model_validate({**MANIFEST, **change}).digest != digest


def test_the_digest_leaves_out_what_decides_no_answer() -> None:
    digest = Manifest.model_validate(MANIFEST).digest
    changed = {**MANIFEST, "version": 7, "source": {"job": "x"}, "report": {"warnings": []}}
    assert Manifest.model_validate(changed).digest == digest
    stated = {**MANIFEST, "preprocessing": {"size": [8, 8], "color": "rgb", "layout": "NHWC"}}
    assert Manifest.model_validate(stated).digest == digest
