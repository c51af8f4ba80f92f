"""The registry: published versions as folders on disk.

    NAME/aliases.json       {"stable": 2}
    NAME/2/graph.pb         the frozen GraphDef
    NAME/2/graph.onnx       the same for ONNX Runtime, where the manifest's `runtime` is that
    NAME/2/manifest.json    its manifest
    NAME/2/retired          present once the version was retired

A version is written in `.staging` and becomes visible by one rename, so that it is there whole or
not at all. Its files never change afterwards: versions that differ only in their manifests share
them.
"""

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from worker.errors import ConflictError, ModelNotFoundError, ModelUnavailableError
from worker.models.alias_files import AliasFiles
from worker.models.durable import copy_durably, sync_folder, write_durably
from worker.models.folder_names import FolderNames
from worker.models.manifest import (
    Accelerated,
    Manifest,
    ManifestDraft,
    ModelRef,
    check_alias_name,
    check_model_name,
    is_model_name,
)
from worker.models.manifest_file import read, written
from worker.models.staging import link, staged

STABLE = "stable"
GRAPH_FILE = "graph.pb"
ACCELERATED_FILE = "graph.onnx"
MANIFEST_FILE = "manifest.json"
_RETIRED_FILE = "retired"


@dataclass(frozen=True, kw_only=True)
class RegisteredModel:
    """A name with its aliases and the versions that can be used, oldest first."""

    name: str
    aliases: dict[str, int]
    versions: tuple[Manifest, ...]
    damaged: tuple[str, ...] = ()  # a sentence for each version whose manifest cannot be read


class _Files(NamedTuple):
    """The files of a version that is being published."""

    sha256: str  # of the graph
    bytes: int
    accelerated: Accelerated | None


class Registry:
    """Reads and publishes versions under one folder. Safe for threads and processes."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._place = os.fspath(root)  # used for each request, for which `Path` is slow
        self._folders = FolderNames()
        # By version: inode, time of change and size of its manifest's file, and the manifest.
        self._manifests: dict[tuple[str, int], tuple[tuple[int, int, int], Manifest]] = {}
        self._manifests_lock = threading.Lock()
        self._aliases = AliasFiles(root)

    # -- reading ----------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Return the names of all models that have a version, sorted."""
        folders = self._folders.names(self._place)
        return [name for name in folders if is_model_name(name) and self._versions(name)]

    def model(self, name: str) -> RegisteredModel:
        """Return the model with the versions that are not retired.

        Raises `ModelNotFoundError`, and `ModelUnavailableError` where its aliases or all manifests
        are damaged.
        """
        check_model_name(name)
        all_versions = self._versions(name)
        if not all_versions:
            known = ", ".join(self.names()) or "none yet"
            raise ModelNotFoundError(f"There is no model '{name}'. Models: {known}.")
        versions: list[Manifest] = []
        damaged: list[ModelUnavailableError] = []
        for version in all_versions:
            if self._retired(name, version):
                continue
            try:
                versions.append(self.manifest(name, version))
            except ModelUnavailableError as error:  # it must not hide the others
                damaged.append(error)
        if damaged and not versions:
            raise damaged[-1]
        return RegisteredModel(
            name=name,
            aliases=self._aliases.read(name),
            versions=tuple(versions),
            damaged=tuple(error.message for error in damaged),
        )

    def readable(self, name: str) -> tuple[Manifest, ...]:
        """Return the model's versions that are not retired and whose manifests can be read."""
        try:
            return self.model(name).versions
        except ModelUnavailableError:
            return ()

    def manifest(self, name: str, version: int) -> Manifest:
        """Return the manifest of a version, retired or not.

        Raises `ModelNotFoundError` where there is none and `ModelUnavailableError` where its file
        cannot be read.
        """
        key = (check_model_name(name), version)
        path = f"{self._place}/{name}/{version}/{MANIFEST_FILE}"
        try:
            # It never changes, but a registry may be restored from a copy in which it is another.
            file = os.stat(path)  # noqa: PTH116
            state = (file.st_ino, file.st_mtime_ns, file.st_size)
            with self._manifests_lock:
                known = self._manifests.get(key)
            if known is not None and known[0] == state:
                return known[1]
            manifest = read(Path(path).read_bytes(), f"{name}@{version}")
        except FileNotFoundError:
            raise ModelNotFoundError(self._no_version(name, str(version))) from None
        except (OSError, ValueError, RecursionError) as error:
            raise ModelUnavailableError(
                f"The manifest of {name}@{version} cannot be read ({type(error).__name__}): "
                "freeze the model again or move its alias to another version."
            ) from error
        with self._manifests_lock:
            self._manifests[key] = (state, manifest)
        return manifest

    def resolve(self, ref: ModelRef) -> Manifest:
        """Return the version that `ref` means now; `stable` where it names none.

        Raises `ModelNotFoundError`, with the versions and aliases that there are.
        """
        return self.manifest(ref.name, self.number(ref))

    def number(self, ref: ModelRef) -> int:
        """Return the number of the version that `ref` means now; its manifest may be damaged.

        Raises `ModelNotFoundError`, also where it was retired.
        """
        version = ref.version
        if version is None:
            alias = ref.alias or STABLE
            version = self._aliases.read(ref.name).get(alias)
            if version is None:
                self.model(ref.name)
                raise ModelNotFoundError(self._no_version(ref.name, alias))
        if self._retired(ref.name, version):
            raise ModelNotFoundError(f"{ref.name}@{version} was retired: name another version.")
        if not os.path.isdir(f"{self._place}/{ref.name}/{version}"):  # noqa: PTH112
            raise ModelNotFoundError(self._no_version(ref.name, str(version)))
        return version

    def stable(self) -> list[Manifest]:
        """Return what the alias `stable` of every model means now, of those that classify.

        Unreadable ones are left out.
        """
        found = []
        for name in self.names():
            with contextlib.suppress(ModelNotFoundError, ModelUnavailableError):
                found.append(self.resolve(ModelRef(name, None, None)))
        return [manifest for manifest in found if manifest.classifies]

    def graph_path(self, name: str, version: int) -> Path:
        """Return where the version's frozen GraphDef lies."""
        return self._folder(check_model_name(name), version) / GRAPH_FILE

    def served_path(self, manifest: Manifest) -> Path:
        """Return where the file lies that workers load for the version."""
        file = GRAPH_FILE if manifest.accelerated is None else ACCELERATED_FILE
        return self._folder(check_model_name(manifest.name), manifest.version) / file

    # -- changing ---------------------------------------------------------------------------

    def publish(
        self,
        draft: ManifestDraft,
        graph: Path,
        alias: str = STABLE,
        *,
        accelerated: Path | None = None,
        before: Callable[[], None] = lambda: None,
    ) -> Manifest:
        """Publish the graph file as the model's next version and move `alias` to it.

        `accelerated` is what the draft's `runtime` loads, where that is not TensorFlow. The files
        are copied, made durable and become visible by one rename; an error before that leaves
        nothing, and one after it a whole version that the alias does not mean yet. A draft whose
        `source` names a `job` that has published already gives that version again, so that a job
        run twice publishes once. `before` is called just before the rename and prevents it by an
        error. Returns the manifest with its version, sha256 and size.
        """
        check_alias_name(alias)
        check_model_name(draft.name)
        with staged(self._root) as staging:
            held = _Files(
                *copy_durably(graph, staging / GRAPH_FILE), _accelerated(accelerated, staging)
            )
            return self._published(draft, staging, held, alias, before)

    def republish(
        self,
        source: Manifest,
        draft: ManifestDraft,
        alias: str = STABLE,
        *,
        before: Callable[[], None] = lambda: None,
    ) -> Manifest:
        """Publish the files of a version again, with another draft, as `publish` does.

        Raises `ModelUnavailableError` where they are not what was audited and published, and
        `ModelNotFoundError` where the version was retired meanwhile.
        """

        def check() -> None:
            self.number(ModelRef(source.name, source.version, None))
            before()

        check_alias_name(alias)
        check_model_name(draft.name)
        with staged(self._root) as staging:
            folder = self._folder(source.name, source.version)
            files = {GRAPH_FILE: (source.sha256, source.bytes)}
            if source.accelerated is not None:
                files[ACCELERATED_FILE] = source.served
            for name, wanted in files.items():
                link(folder / name, f"{source.name}@{source.version}", wanted, staging)
            held = _Files(source.sha256, source.bytes, source.accelerated)
            return self._published(draft, staging, held, alias, check)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Make `alias` mean `version`; raise `ModelNotFoundError` where it cannot."""
        check_alias_name(alias)
        self.resolve(ModelRef(name, version, None))
        with self._locked(name):
            self.resolve(ModelRef(name, version, None))  # it may have been retired meanwhile
            self._aliases.move(name, alias, version)

    def retire(
        self, name: str, version: int, *, force: bool = False, passed_over: Collection[int] = ()
    ) -> dict[str, int | None]:
        """Take a version out of use for new jobs; jobs that have it pinned still end.

        Raises `ModelNotFoundError`, and `ConflictError` while an alias means it. With `force` such
        aliases are moved to the newest version before it that can be used, else to the newest
        after it, and removed where there is none; `passed_over` are versions that they are not
        moved to. Returns what they mean now. It may be damaged.
        """
        self.number(ModelRef(check_model_name(name), version, None))
        moved: dict[str, int | None] = {}
        with self._locked(name):
            aliases = self._aliases.read_or_none(name) if force else self._aliases.read(name)
            used = [alias for alias, v in aliases.items() if v == version]
            if used and not force:
                raise ConflictError(
                    f"{name}@{version} is what '{used[0]}' means: move that alias to another "
                    "version first, or retire it by force with "
                    f"`./permafrost models {name} --retire {version} --force`."
                )
            if used:
                instead = self._successor(name, version, passed_over)
                moved = dict.fromkeys(used, instead)
                left = {alias: v for alias, v in aliases.items() if v != version}
                if instead is not None:
                    left |= dict.fromkeys(used, instead)
                self._aliases.write(name, left)
            write_durably(self._folder(name, version) / _RETIRED_FILE, b"")
        return moved

    # -- inside -----------------------------------------------------------------------------

    def _published(
        self,
        draft: ManifestDraft,
        staging: Path,
        held: _Files,
        alias: str,
        before: Callable[[], None],
    ) -> Manifest:
        """Make the version visible whose files are in `staging`, and return its manifest."""
        with self._locked(draft.name):
            published = self._published_by(draft)
            if published is not None:
                # It may have been interrupted before this.
                if self._aliases.read(draft.name).get(alias, 0) < published.version:
                    self._aliases.move(draft.name, alias, published.version)
                return published
            version = max(self._versions(draft.name), default=0) + 1
            manifest = Manifest(
                **dict(draft),
                version=version,
                sha256=held.sha256,
                bytes=held.bytes,
                accelerated=held.accelerated,
                created_at=datetime.now(UTC),
            )
            write_durably(staging / MANIFEST_FILE, written(manifest))
            sync_folder(staging)
            before()
            staging.rename(self._folder(draft.name, version))
            sync_folder(self._root / draft.name)
            sync_folder(self._root)
            self._aliases.move(draft.name, alias, version)
            return manifest

    def _folder(self, name: str, version: int) -> Path:
        return self._root / name / str(version)

    def _versions(self, name: str) -> list[int]:
        found = self._folders.names(f"{self._place}/{name}")
        return sorted(int(entry) for entry in found if entry.isascii() and entry.isdigit())

    def _published_by(self, draft: ManifestDraft) -> Manifest | None:
        """Return the version that the draft's own job published before it was interrupted."""
        job = draft.source.get("job")
        if job is None:
            return None
        for version in reversed(self._versions(draft.name)):
            with contextlib.suppress(ModelUnavailableError):
                found = self.manifest(draft.name, version)
                if found.source.get("job") == job:
                    return found
        return None

    def _retired(self, name: str, version: int) -> bool:
        return os.path.exists(f"{self._place}/{name}/{version}/{_RETIRED_FILE}")  # noqa: PTH110

    def _successor(self, name: str, version: int, passed_over: Collection[int]) -> int | None:
        """Return the version that aliases of one that is retired mean instead."""
        found: list[Manifest] = []
        for other in self._versions(name):
            if other == version or other in passed_over or self._retired(name, other):
                continue
            with contextlib.suppress(ModelNotFoundError, ModelUnavailableError):
                found.append(self.manifest(name, other))
        usable = [manifest.version for manifest in found if manifest.classifies]
        before = [number for number in usable if number < version]
        return max(before or usable, default=None)

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Hold the model's lock: one publication or alias change at a time, over all processes."""
        folder = self._root / name
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _no_version(self, name: str, which: str) -> str:
        versions = [str(v) for v in self._versions(name) if not self._retired(name, v)]
        aliases = [f"{alias} ({v})" for alias, v in self._aliases.read(name).items()]
        return (
            f"Model '{name}' has no version or alias '{which}'. "
            f"Versions: {', '.join(versions) or 'none'}; aliases: {', '.join(aliases) or 'none'}."
        )


def _accelerated(source: Path | None, staging: Path) -> Accelerated | None:
    if source is None:
        return None
    sha256, size = copy_durably(source, staging / ACCELERATED_FILE)
    return Accelerated(sha256=sha256, bytes=size)
