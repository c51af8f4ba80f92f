"""A draft of a manifest for tests of the registry."""

from worker.models.manifest import ManifestDraft, Tensor
from worker.models.preprocessing import Preprocessing

GRAPH = b"a frozen graph" * 1000


def draft_of(name: str = "cats-dogs", **source: str) -> ManifestDraft:
    return ManifestDraft(
        name=name,
        inputs=[Tensor(name="x:0", shape=[None, 8, 8, 3], dtype="float32")],
        outputs=[Tensor(name="y:0", shape=[None, 2], dtype="float32")],
        labels=["cat", "dog"],
        preprocessing=Preprocessing(size=(8, 8)),
        source=source,
    )
