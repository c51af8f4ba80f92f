"""The Python client's operations, blocking and awaited, against the whole system."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.client import AsyncClient, Client, OnServer, ServerError
from tests.support.pictures import jpeg
from tests.support.system import ROOT, System

MODEL = "cats-dogs"
CHECKPOINT = ROOT / "deploy" / "demo" / "checkpoint"
SET = {"is_training": False, "keep_prob": 1.0}


@pytest.fixture
def client(system: System) -> Iterator[Client]:
    with Client(system.url) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of 120 images with strange names, one of them broken, and another file."""
    made = tmp_path / "photographs"
    (made / "sub").mkdir(parents=True)
    for number in range(118):
        (made / "sub" / f"{number:03}.jpg").write_bytes(jpeg(number, mark=number))
    (made / "caf\udce9 \"'\n.jpg").write_bytes(jpeg(7))
    (made / "broken.jpg").write_bytes(jpeg(9)[:200])
    (made / "notes.txt").write_text("no image")
    return made


def test_every_image_of_a_folder_is_given_once(client: Client, folder: Path) -> None:
    found = {row.path: row for row in client.classify_all(folder, model=MODEL, top=1)}
    assert len(found) == 120
    assert [path for path, row in found.items() if row.error] == ["broken.jpg"]
    assert found["caf\\xe9 \"'\n.jpg"].label in {"cat", "dog"}
    assert {row.version for row in found.values()} == {1}


def test_the_same_key_continues_the_same_batch(client: Client, folder: Path) -> None:
    first = list(client.classify_all(folder, model=MODEL, key=f"all of {folder}"))
    again = list(client.classify_all(folder, model=MODEL, key=f"all of {folder}"))
    assert sorted(row.path for row in again) == sorted(row.path for row in first)
    newest = next(client.jobs(kind="batch", limit=1))
    retried = client.wait(client.retry(newest.id)) if newest.progress.failed else newest
    assert (retried.progress.total, retried.progress.failed) == (120, 1)
    failed = list(client.results(retried, status="failed"))
    assert [row.path for row in failed] == ["broken.jpg"]


def test_what_cannot_be_sent_is_said_before_there_is_a_batch(
    client: Client, tmp_path: Path
) -> None:
    with pytest.raises(ServerError, match="There is no model"):
        list(client.classify_all([tmp_path / "none.jpg"], model="none"))
    (row,) = client.classify_all([tmp_path / "none.jpg"], model=MODEL)
    assert row.error is not None
    assert row.error.code == "unreadable"


def test_a_model_goes_through_its_life(client: Client, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(jpeg(90, side=64))
    inspected = client.wait(client.inspect(CHECKPOINT)).result
    assert inspected is not None
    job = client.freeze(CHECKPOINT, name="life", outputs=["y_pred"], set=SET, samples=[photo])
    states = list(client.follow(job))
    assert states[-1].status == "succeeded"
    frozen = client.wait(job).result
    assert frozen is not None
    assert (frozen.model, frozen.version) == ("life", 1)
    assert client.republish("life", preprocessing="raw", alias="canary").version == 2
    assert client.set_alias("life", "stable", 2).aliases == {"canary": 2, "stable": 2}
    assert [one.version for one in client.retire("life", 1).versions] == [2]
    assert client.version("life", "canary").preprocessing is not None
    compared = client.wait(client.compare("life", [photo])).result
    assert compared is not None
    assert compared.images == ["photo.jpg"]
    assert {model.name for model in client.models()} >= {MODEL, "life"}
    assert client.classify(photo, model="life@canary").model.version == 2


def test_what_there_is_can_be_asked(client: Client) -> None:
    assert client.ready()
    assert any("interactive" in worker.queues for worker in client.workers())
    assert client.own_key() is None
    assert client.model(MODEL).aliases["stable"] == 1
    ended = client.wait(client.predict(jpeg(5), model=MODEL, wait_s=10))
    assert client.cancel(ended).status == "succeeded"
    assert client.job(ended).id == ended.id


def test_a_folder_that_the_server_does_not_have_is_refused(client: Client) -> None:
    with pytest.raises(ServerError) as caught:
        list(client.classify_all(OnServer("no/such/folder"), model=MODEL))
    assert caught.value.code == "not_found"


def test_awaited_it_does_the_same_and_holds_nothing_up(system: System, folder: Path) -> None:
    async def all_at_once() -> None:
        async with AsyncClient(system.url) as client:
            rows, answers, job = await asyncio.gather(
                _listed(client, folder),
                asyncio.gather(*(client.classify(jpeg(n), model=MODEL) for n in range(8))),
                client.inspect(CHECKPOINT),
            )
            assert len(rows) == 120
            assert {answer.label for answer in answers} <= {"cat", "dog"}
            assert [line async for line in client.log(job)]
            assert (await client.wait(job)).result is not None

    asyncio.run(all_at_once())


async def _listed(client: AsyncClient, folder: Path) -> list[str]:
    return [row.path async for row in client.classify_all(folder, model=MODEL)]
