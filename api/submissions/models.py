"""The fields `model` and `top` of a submission: which version answers, and how many labels."""

from api.http.parameters import whole_number
from api.services import services
from worker.errors import InvalidRequestError, ModelNotFoundError
from worker.jobs.records import PinnedModel
from worker.models.manifest import Manifest, ModelRef
from worker.models.registry import Registry

_MOST_TOP = 999_999_999  # more than there are classes means all


def top_of(text: str | None) -> int:
    """Return how many labels a request asks for; more than there are classes means all."""
    return whole_number(text, "top", 5, 1, _MOST_TOP)


def pinned(manifest: Manifest) -> PinnedModel:
    """Return the pin of a job that this version answers."""
    return PinnedModel(
        name=manifest.name,
        version=manifest.version,
        sha256=manifest.sha256,
        digest=manifest.digest,
        basis=manifest.basis.kind if manifest.basis is not None else "",
    )


def resolve_model(text: str | None) -> Manifest:
    """Return the version that a request names; without a name, of the only model.

    Raises `NotAClassifierError` where images cannot be classified with it.
    """
    manifest = _resolve(services().registry, text)
    manifest.classifying()
    return manifest


def _resolve(registry: Registry, text: str | None) -> Manifest:
    if text:
        return registry.resolve(ModelRef.parse(text))
    names = registry.names()
    if len(names) == 1:
        return registry.resolve(ModelRef(names[0], None, None))
    if not names:
        raise ModelNotFoundError("There is no model yet: freeze one first.")
    raise InvalidRequestError(f"Name the model with `model`: one of {', '.join(names)}.")
