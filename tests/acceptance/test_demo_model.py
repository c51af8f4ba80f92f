"""The demo model: published by the first `up`, good at what it is for, loaded once per process."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from tests.support.polling import wait_until
from tests.support.submitting import predict
from tests.support.system import System


def photograph() -> bytes:
    """Return a JPEG of no particular thing."""
    buffer = io.BytesIO()
    Image.effect_noise((200, 200), 64).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


def test_the_first_start_publishes_it(system: System) -> None:
    model = httpx.get(f"{system.url}/v1/models/cats-dogs").json()
    assert model["aliases"] == {"stable": 1}
    assert model["versions"][0]["labels"] == ["cat", "dog"]


def test_it_tells_cats_from_dogs(system: System, fixtures_folder: Path) -> None:
    folder = fixtures_folder / "cats-dogs-200px" / "test"
    photographs = [
        (path, label)
        for label in ("cat", "dog")
        for path in sorted((folder / f"{label}s").iterdir())[:100]
    ]
    with httpx.Client() as client, ThreadPoolExecutor(8) as pool:

        def right(pair: tuple[Path, str]) -> bool:
            job = predict(system.url, pair[0].read_bytes(), client=client, model="cats-dogs")
            return bool(job["result"]["predictions"][0]["label"] == pair[1])

        correct = sum(pool.map(right, photographs))
    # At least 91 % of all 1,000 are asked for; of 200 of them, 87 % is three deviations below.
    assert correct / len(photographs) >= 0.87


def test_after_500_predictions_every_process_has_loaded_each_graph_once(system: System) -> None:
    image = photograph()
    with httpx.Client() as client, ThreadPoolExecutor(16) as pool:
        jobs = list(
            pool.map(
                lambda _: predict(system.url, image, client=client, model="cats-dogs"), range(500)
            )
        )
    assert {job["status"] for job in jobs} == {"succeeded"}

    def counted() -> list[dict[str, Any]] | None:
        """Return the classifying processes once they have reported what they did."""
        rows = httpx.get(f"{system.url}/v1/workers").json()["workers"]
        classifying = [row for row in rows if "interactive" in row["queues"]]
        return classifying if sum(row["items"] for row in classifying) >= 500 else None

    classifying = wait_until(counted, within_s=30, what="500 predictions are reported")
    assert classifying
    for row in classifying:
        graphs = [g for g in row["graphs"] if g["model"] == "cats-dogs"]
        assert [g["loads"] for g in graphs] == [1], row
