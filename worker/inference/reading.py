"""Reading the images of a claim, a bounded number of bytes at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from worker.errors import PermafrostError, UploadGoneError
from worker.images.folders import Folder, find_folder
from worker.jobs.claims import ClaimedItem
from worker.jobs.records import Item, Kind, Outcome
from worker.settings import Settings

_MOST_BYTES = 64 * 1024 * 1024  # of images in memory at once; a single one may be larger


def read(
    items: Sequence[ClaimedItem], settings: Settings
) -> Iterator[tuple[tuple[ClaimedItem, ...], dict[Item, Outcome]]]:
    """Give the items with their images' bytes, in groups, and the failures of those without.

    Only images of a folder are read here; uploads came with the claim, which bounds them.
    """
    folders: dict[str, Folder] = {}
    group: list[ClaimedItem] = []
    failures: dict[Item, Outcome] = {}
    size = 0
    for claimed in items:
        try:
            with_content = _with_content(claimed, settings, folders)
        except PermafrostError as error:
            failures[claimed.item] = Outcome(error={"code": error.code, "message": error.message})
            continue
        more = 0 if claimed.upload else len(with_content.upload)
        if group and size + more > _MOST_BYTES:
            yield tuple(group), failures
            group, failures, size = [], {}, 0
        group.append(with_content)
        size += more
    yield tuple(group), failures


def _with_content(
    claimed: ClaimedItem, settings: Settings, folders: dict[str, Folder]
) -> ClaimedItem:
    if claimed.kind is not Kind.BATCH:
        return claimed
    name = claimed.options.get("folder")
    if name is None:
        if not claimed.upload:
            raise UploadGoneError("The upload is no longer kept: send the image again.")
        return claimed
    folder = folders.get(name)
    if folder is None:
        folder = folders[name] = find_folder(name, settings.folder_roots)
    content = folder.read(claimed.path, most_bytes=settings.max_image_bytes)
    return replace(claimed, upload=content)
