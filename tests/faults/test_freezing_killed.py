"""SIGKILL in the middle of a freeze and of a publication: the version is absent or whole."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.freezing import Freezing
from tests.support.polling import wait_until


@pytest.fixture(scope="module")
def freezing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Freezing]:
    scene = Freezing(tmp_path_factory.mktemp("killed") / "data", inject=("dying_while_publishing",))
    try:
        scene.start()
        yield scene
    finally:
        scene.servers.remove()


@pytest.mark.timeout(180)
def test_a_freeze_whose_worker_is_killed_leaves_nothing_and_is_done_again(
    freezing: Freezing,
) -> None:
    job_id = freezing.submit("cut-off")
    children = freezing.wait_for_children(2)
    freezing.servers.kill(freezing.servers.services["freezing"])
    wait_until(
        lambda: not any(child.is_running() and child.status() != "zombie" for child in children),
        within_s=10,
        what="what froze is gone with its worker",
    )
    assert freezing.versions("cut-off") == []
    assert freezing.work_folders() != []
    freezing.servers.start_freezing(inject=freezing.inject)
    job = freezing.ended(job_id)
    assert (job["status"], job["result"]["version"]) == ("succeeded", 1)
    assert job["attempts"] == 2
    assert freezing.versions("cut-off") == [1]
    wait_until(lambda: not freezing.work_folders(), within_s=10, what="no folder is left")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("where", ["staged", "renamed"])
def test_a_publication_that_is_killed_is_absent_or_whole_and_ends_with_one_version(
    freezing: Freezing, where: str
) -> None:
    order = freezing.data / "die"
    order.write_text(where)
    job_id = freezing.submit(where)
    wait_until(lambda: not order.exists(), within_s=60, what="the worker was killed", every_s=0.005)
    assert freezing.versions(where) == ([1] if where == "renamed" else [])
    answer = httpx.get(f"{freezing.servers.url}/v1/models/{where}", timeout=10)
    seen = answer.json()["versions"] if answer.status_code == 200 else []
    assert len(seen) == (1 if where == "renamed" else 0)
    job = freezing.ended(job_id)
    assert (job["status"], job["result"]["version"]) == ("succeeded", 1)
    assert freezing.versions(where) == [1]
    model = httpx.get(f"{freezing.servers.url}/v1/models/{where}", timeout=10).json()
    assert model["aliases"] == {"stable": 1}
    assert job["result"]["sha256"] == model["versions"][0]["sha256"]
