"""What a freeze may ask for."""

from typing import Any

import pytest

from worker.contract.batches import FolderBatchRequest, OpenBatchRequest
from worker.contract.keys import KeyRequest, RenewRequest
from worker.contract.models import AliasRequest
from worker.contract.requests import Request
from worker.contract.source_requests import (
    FreezeRequest,
    InspectionRequest,
    PreparedRequest,
    RepublishRequest,
    SourceFreezeRequest,
    SourceInspectionRequest,
    as_options,
)
from worker.errors import InvalidRequestError, NewerRequestError


def test_only_a_name_is_needed() -> None:
    asked = FreezeRequest.parse({"name": "cats-dogs"})
    assert (asked.source, asked.inputs, asked.outputs, asked.set) == (None, [], [], {})
    assert (asked.labels, asked.scores, asked.alias) == (None, None, "stable")


def test_a_request_reads_back_as_it_was_written() -> None:
    fields = {
        "name": "cats-dogs",
        "source": "models/cats",
        "inputs": ["x:0"],
        "outputs": ["y_pred"],
        "set": {"keep_prob": 1.0, "is_training": False, "steps": 3, "shape": [1, [2.5]]},
        "labels": ["cat", "dog"],
        "preprocessing": {"preset": "zero_one", "size": [8, 8]},
        "scores": "logits",
        "alias": "canary",
    }
    asked = FreezeRequest.parse(fields)
    assert asked.set == fields["set"]
    assert [type(value) for value in asked.set.values()] == [float, bool, int, list]
    assert FreezeRequest.parse(asked.model_dump(mode="json")) == asked


def test_workers_are_told_what_was_asked_for_and_no_defaults() -> None:
    asked = FreezeRequest.parse(
        {"name": "cats", "preprocessing": "raw", "optimise": False, "webhook": "https://e.org"}
    )
    options = as_options(asked)
    assert options == {"name": "cats", "preprocessing": {"preset": "raw"}, "optimise": False}
    assert FreezeRequest.of_job(options) == asked.model_copy(update={"webhook": None})
    # As programs before this one wrote them.
    whole = asked.model_dump(mode="json", exclude={"webhook"})
    assert FreezeRequest.of_job(whole) == FreezeRequest.of_job(options)


@pytest.mark.parametrize(
    "newer", [{"sharpen": True}, {"preprocessing": {"sharpen": 1}}, {"scores": "ranks"}]
)
def test_what_a_newer_permafrost_asks_for_is_not_passed_over(newer: dict[str, Any]) -> None:
    with pytest.raises(NewerRequestError, match="Upgrade the freezing worker"):
        FreezeRequest.of_job({"name": "cats", **newer})


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (None, "must be a JSON object"),
        ([], "must be a JSON object"),
        ({}, "name: Field required"),
        ({"name": 5}, "name must be a text"),
        ({"name": "../up"}, "not a model name"),
        ({"name": "a", "alias": "9"}, "neither a version number nor an alias"),
        ({"name": "a", "source": ""}, "below a sources root"),
        ({"name": "a", "source": "a/../../etc"}, "below a sources root"),
        ({"name": "a", "source": "nul\0"}, "below a sources root"),
        ({"name": "a", "source": "x" * 4097}, "source must be at most 4096 characters long"),
        ({"name": "a", "inputs": "x"}, "inputs must be a list, not 'x'"),
        ({"name": "a", "outputs": ["x"] * 65}, "outputs must be a list of at most 64"),
        ({"name": "a", "set": []}, "set must be an object"),
        ({"name": "a", "set": {"k": "1.0"}}, "'k' in `set` must be a finite number"),
        ({"name": "a", "set": {"k": None}}, "'k' in `set` must be a finite number"),
        ({"name": "a", "set": {"k": float("inf")}}, "'k' in `set` must be a finite number"),
        ({"name": "a", "set": {"k": [[float("nan")]]}}, "'k' in `set` must be a finite number"),
        ({"name": "a", "set": {"k": _deep(5000)}}, "nested too deeply"),
        ({"name": "a", "labels": []}, "labels must be a list of at least 1"),
        ({"name": "a", "labels": [1]}, "labels.0 must be a text"),
        ({"name": "a", "labels": ["half a pair \ud800"]}, "no Unicode"),
        ({"name": "a", "source": "half a pair \ud800"}, "no Unicode"),
        (
            {"name": "a", "preprocessing": "sepia"},
            "preprocessing.preset must be zero_one, .* not 'sepia'.$",
        ),
        ({"name": "a", "scores": "votes"}, "logits or sigmoid, not 'votes'"),
        ({"name": "a", "colour": "rgb"}, "^The freeze request has no field 'colour'.$"),
        ({"name": "a", "output": ["y"]}, "no field 'output'. Did you mean 'outputs'[?]$"),
        (
            {"name": "a", "\x1b[2J" + "x" * 200: 1},
            r"^The freeze request has no field '[?]\[2Jx{76}'",
        ),
    ],
)
def test_what_is_wrong_is_named(fields: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        FreezeRequest.parse(fields)


@pytest.mark.parametrize(
    "model",
    [
        *(FreezeRequest, InspectionRequest, SourceFreezeRequest, SourceInspectionRequest),
        *(RepublishRequest, PreparedRequest, OpenBatchRequest, FolderBatchRequest),
        *(AliasRequest, KeyRequest, RenewRequest),
    ],
)
def test_of_every_body_an_unknown_field_is_refused_and_the_nearest_offered(
    model: type[Request],
) -> None:
    for name in model.names():
        with pytest.raises(InvalidRequestError) as met:
            model.parse({f"{name}x": 1, **_needed(model)})
        said = f"The {model.called} has no field '{name}x'. Did you mean '{name}'?"
        assert met.value.message == said


def _needed(model: type[Request]) -> dict[str, Any]:
    values = {
        "name": "a",
        "source": "a",
        "folder": "a",
        "open": True,
        "version": 1,
        "scopes": ["read"],
    }
    return {name: values[name] for name, one in model.model_fields.items() if one.is_required()}
