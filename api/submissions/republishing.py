"""Publishing a version again with another preprocessing, other labels or scores, at once."""

from api.services import services
from worker.contract.source_requests import RepublishRequest
from worker.models.generation import announce_change
from worker.models.manifest import Manifest, ModelRef
from worker.models.republishing import redrafted


def publish_again(name: str, asked: RepublishRequest) -> Manifest:
    """Publish a version of a model again, as it is asked for, and let workers know."""
    source = services().registry.resolve(ModelRef.parse(f"{name}@{asked.version}"))

    def check() -> None:
        found = services().set_aside.find(name, source.version, source.sha256)
        if found is not None:
            raise found.error(name, source.version)

    check()  # before its files are looked at
    draft = redrafted(
        source, preprocessing=asked.preprocessing, labels=asked.labels, scores=asked.scores
    )
    made = services().registry.republish(source, draft, asked.alias, before=check)
    announce_change(services().client)
    return made
