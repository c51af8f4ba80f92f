"""Aliases of models, and versions that are retired."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.drafts import draft_of
from worker.errors import (
    ConflictError,
    ModelNotFoundError,
)
from worker.models.manifest import ModelRef
from worker.models.registry import Registry


def test_an_alias_moves_to_a_version_that_there_is(registry: Registry, graph: Path) -> None:
    registry.publish(draft_of(), graph)
    registry.publish(draft_of(), graph)
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
        Registry(root).publish(draft_of(), graph)
        assert registry.resolve(ModelRef("cats-dogs", None, None)).version == version
    for version in (1, 4, 2):
        Registry(root).set_alias("cats-dogs", "stable", version)
        assert registry.resolve(ModelRef("cats-dogs", None, None)).version == version


def test_aliases_that_look_as_those_before_them_are_seen_all_the_same(
    registry: Registry, graph: Path, root: Path
) -> None:
    for _ in range(2):
        registry.publish(draft_of(), graph)
    file = root / "cats-dogs" / "aliases.json"
    found, content = file.stat(), file.read_bytes()
    assert registry.model("cats-dogs").aliases == {"stable": 2}
    # As where an inode is used again within one tick of the kernel's clock.
    file.write_bytes(content.replace(b"2", b"1"))
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert registry.model("cats-dogs").aliases == {"stable": 1}


def test_a_version_in_use_by_an_alias_cannot_be_retired(registry: Registry, graph: Path) -> None:
    registry.publish(draft_of(), graph)
    with pytest.raises(ConflictError, match="'stable'"):
        registry.retire("cats-dogs", 1)
    assert registry.resolve(ModelRef.parse("cats-dogs@1")).version == 1


def test_a_retired_version_is_closed_to_new_jobs_but_not_to_those_that_have_it(
    registry: Registry, graph: Path
) -> None:
    registry.publish(draft_of(), graph)
    registry.publish(draft_of(), graph)
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
        registry.publish(draft_of(), graph)
        version = registry.publish(draft_of(), graph).version - 1
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
