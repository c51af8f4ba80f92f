"""Models: reading, downloading, publishing again, aliases, retiring."""

from typing import Final

from api.described import examples
from api.described.operation import (
    BINARY,
    CHANGING,
    JSON,
    POSTED,
    STORED,
    WITH_BODY,
    DescribedAnswer,
    DescribedOperation,
    Header,
    json_answer,
)
from api.described.problems import NoSuchPartError
from worker.contract.models import (
    AliasRequest,
    Model,
    ModelList,
    ModelSummary,
    Retired,
    RetireQuery,
    Version,
)
from worker.contract.source_requests import PreparedRequest, RepublishRequest
from worker.errors import (
    ConflictError,
    ModelNotFoundError,
    ModelSetAsideError,
    ModelUnavailableError,
    NotAClassifierError,
    StorageError,
)
from worker.models.preprocessing import PreprocessingSpec, Preset

_OF_ONE: Final = (ModelNotFoundError, ModelUnavailableError)
_PUBLISHING: Final = (
    *(*POSTED, *WITH_BODY, *_OF_ONE),
    *(ModelSetAsideError, NotAClassifierError, StorageError),
)
_ETAG: Final = Header(about="Changes when the file does.", always=True)
_FILE: Final = Header(about="A name for the file.", always=True)
_PART: Final = Header(about="Which bytes these are, of how many.", always=True)
_SAME: Final = DescribedAnswer(status=304, about="The file is the one of `If-None-Match`")
_IF_CHANGED: Final = {
    "If-None-Match": ("The `ETag` of the file that is already there.", {"type": "string"})
}
_PUBLISHED: Final = json_answer(
    Version,
    examples.VERSION,
    "The version was published",
    status=201,
    headers={"Location": Header(about="The version's URL.", always=True)},
)

OPERATIONS: Final = (
    DescribedOperation(
        method="get",
        path="/v1/models",
        id="list_models",
        view="models.index",
        tag="models",
        summary="List models with their aliases and versions.",
        answers=(json_answer(ModelList, examples.MODELS, "All models, by name"),),
    ),
    DescribedOperation(
        method="get",
        path="/v1/models/{name}",
        id="read_model",
        view="models.read",
        tag="models",
        summary="Read one model; its versions with their manifests, less the freezing report.",
        answers=(json_answer(Model, examples.MODEL, "The model"),),
        errors=(*STORED, *_OF_ONE),
    ),
    DescribedOperation(
        method="post",
        path="/v1/models/{name}/versions",
        id="republish",
        view="models.republish",
        tag="models",
        summary="Publish a version's graph again as the next one, with images prepared otherwise.",
        about="What is left out of `preprocessing`, `labels` and `scores` stays as it is. Nothing "
        "is frozen again.",
        body={JSON: RepublishRequest},
        example={"from": "1", "preprocessing": {"color": "bgr"}},
        answers=(_PUBLISHED,),
        errors=_PUBLISHING,
    ),
    DescribedOperation(
        method="post",
        path="/v1/models/{name}/versions/{version}/preprocessing",
        id="republish_version",
        view="models.republish_version",
        tag="models",
        summary="Publish a version's graph again with the preprocessing that is sent.",
        about="The body is a preset's name, fields of a preprocessing, or an object with "
        "`preprocessing` and what else may be said.",
        body={JSON: (Preset, PreprocessingSpec, PreparedRequest)},
        example={"color": "bgr"},
        answers=(_PUBLISHED,),
        errors=_PUBLISHING,
    ),
    DescribedOperation(
        method="get",
        path="/v1/models/{name}/versions/{version}",
        id="read_version",
        view="models.read_version",
        tag="models",
        summary="Read the manifest of a version.",
        answers=(json_answer(Version, examples.VERSION, "The version"),),
        errors=(*STORED, *_OF_ONE),
    ),
    DescribedOperation(
        method="delete",
        path="/v1/models/{name}/versions/{version}",
        id="retire_version",
        view="models.retire",
        tag="models",
        summary="Retire a version: new jobs cannot name it; jobs that have it pinned still end.",
        about="With `force` also where an alias means it, and jobs that wait for it fail. The "
        "alias then means the newest version before that one that can be used, else the newest "
        "after it, or is removed where there is none: `moved` says what each means now.",
        query=RetireQuery,
        answers=(json_answer(Retired, examples.RETIRED, "The model as it is now"),),
        errors=(*CHANGING, *_OF_ONE, ConflictError, StorageError),
    ),
    DescribedOperation(
        method="get",
        path="/v1/models/{name}/versions/{version}/graph",
        id="download_graph",
        view="models.download",
        tag="models",
        summary="Download the frozen GraphDef (`.pb`) of a version.",
        headers={
            **_IF_CHANGED,
            "Range": ("A part of the file: `bytes=FIRST-LAST`.", {"type": "string"}),
        },
        answers=(
            DescribedAnswer(
                about="The file",
                content={"application/octet-stream": BINARY},
                headers={"ETag": _ETAG, "Content-Disposition": _FILE},
            ),
            DescribedAnswer(
                about="The part of it that `Range` asks for",
                status=206,
                content={"application/octet-stream": BINARY},
                headers={"ETag": _ETAG, "Content-Range": _PART},
            ),
            _SAME,
        ),
        errors=(*STORED, *_OF_ONE, NoSuchPartError),
    ),
    DescribedOperation(
        method="get",
        path="/v1/models/{name}/versions/{version}/savedmodel",
        id="download_savedmodel",
        view="saved_models.download",
        tag="models",
        summary="Download a version as a zip that TensorFlow Serving loads.",
        about="It holds the folder `NAME/VERSION`.",
        headers=_IF_CHANGED,
        answers=(
            DescribedAnswer(
                about="The archive",
                content={"application/zip": BINARY},
                headers={"ETag": _ETAG, "Content-Disposition": _FILE},
            ),
            _SAME,
        ),
        errors=(*STORED, *_OF_ONE),
    ),
    DescribedOperation(
        method="put",
        path="/v1/models/{name}/aliases/{alias}",
        id="move_alias",
        view="models.set_alias",
        tag="models",
        summary="Have an alias mean another version.",
        body={JSON: AliasRequest},
        example={"version": 2},
        answers=(json_answer(ModelSummary, examples.SUMMARY, "The model as it is now"),),
        errors=(*CHANGING, *WITH_BODY, *_OF_ONE, ModelSetAsideError, StorageError),
    ),
    DescribedOperation(
        method="delete",
        path="/v1/models/{name}/versions/{version}/set-aside",
        id="try_version_again",
        view="models.try_again",
        tag="models",
        summary="Have a version that was set aside tried again, under the same limits.",
        answers=(json_answer(ModelSummary, examples.SUMMARY, "The model as it is now"),),
        errors=(*CHANGING, *_OF_ONE),
    ),
)
