"""The commands as a person and a script run them, against the whole system."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.system import ROOT, System, clean_environment

Finished = subprocess.CompletedProcess[str]

COMMAND = [sys.executable, "-m", "deploy"]


def run(system: System, *arguments: str | Path) -> Finished:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=ROOT,
        env=clean_environment(PERMAFROST_URL=system.url),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def document(finished: Finished) -> dict[str, Any]:
    assert finished.returncode == 0, finished.stderr
    found: dict[str, Any] = json.loads(finished.stdout)
    return found


def rows(finished: Finished) -> list[dict[str, Any]]:
    return [json.loads(line) for line in finished.stdout.splitlines()]


@pytest.fixture(scope="module")
def frozen(system: System, fixtures_folder: Path) -> dict[str, Any]:
    """Freeze the tutorial's checkpoint by upload, as `from-cli`."""
    tutorial = fixtures_folder / "tutorial-dogs-cats"
    return document(
        run(
            *(system, "freeze", tutorial / "checkpoint", "--name", "from-cli", "--json"),
            *("--output", "y_pred", "--input", "x:0", "--labels", tutorial / "labels.txt"),
            *("--preprocessing", "zero_one", "--scores", "probabilities"),
        )
    )


def test_a_checkpoint_of_this_machine_is_frozen(frozen: dict[str, Any]) -> None:
    result = frozen["result"]
    assert (result["model"], result["bytes_after"] < 8.6e6) == ("from-cli", True)
    assert frozen["log"]


def test_a_checkpoint_of_the_server_is_frozen_and_the_next_command_works(
    system: System, fixtures_folder: Path
) -> None:
    checkpoint = fixtures_folder / "tutorial-dogs-cats" / "checkpoint"
    place = system.data / "sources" / "of-the-server"
    place.mkdir(parents=True, exist_ok=True)
    for file in checkpoint.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    finished = run(
        *(system, "freeze", "of-the-server/dogs-cats-model", "--name", "by-path"),
        *("--output", "y_pred", "--alias", "canary"),
    )
    assert finished.returncode == 0, finished.stderr
    assert "is not on this machine" in finished.stderr
    assert "25.6 MB -> 8.5 MB" in finished.stdout
    *_, last = finished.stdout.strip().splitlines()
    assert last == (
        f"Try it: ./permafrost classify photo.jpg --model by-path@canary --server {system.url}"
    )
    photo = fixtures_folder / "tutorial-dogs-cats" / "images" / "cats" / "cat.1006.jpg"
    assert run(system, "classify", photo, "--model", "by-path@canary").returncode == 0


def test_another_preprocessing_is_served_without_a_freeze(
    system: System, frozen: dict[str, Any], fixtures_folder: Path
) -> None:
    photo = fixtures_folder / "tutorial-dogs-cats" / "images" / "cats" / "cat.1006.jpg"
    said = ("--preprocessing", '{"color": "bgr"}', "--alias", "bgr")
    made = document(
        run(system, "models", f"from-cli@{frozen['result']['version']}", *said, "--json")
    )
    assert made["aliases"]["bgr"] == made["published"]
    assert made["versions"][-1]["basis"]["kind"] == "stated"
    scores = [
        rows(run(system, "classify", photo, "--model", model, "--json"))[0]["score"]
        for model in ("from-cli", "from-cli@bgr")
    ]
    assert scores[0] != scores[1]


def test_a_wrong_output_fails_with_the_nearest_name(system: System, fixtures_folder: Path) -> None:
    checkpoint = fixtures_folder / "tutorial-dogs-cats" / "checkpoint" / "dogs-cats-model.meta"
    finished = run(system, "freeze", checkpoint, "--name", "wrong", "--output", "y_prd", "--json")
    assert finished.returncode == 1
    error = json.loads(finished.stdout)["error"]
    assert "y_pred" in error["message"]
    assert error["message"] in finished.stderr


def test_a_folder_of_photographs_becomes_a_table(
    system: System, fixtures_folder: Path, frozen: dict[str, Any], tmp_path: Path
) -> None:
    tutorial = fixtures_folder / "tutorial-dogs-cats"
    output = tmp_path / "results.csv"
    arguments = (tutorial / "images", "--model", "from-cli", "--json", "--output", output)
    finished = run(system, "classify", *arguments)
    assert finished.returncode == 0, finished.stderr
    expected = {
        row["path"]: row for row in json.loads((tutorial / "expected.json").read_text())["rows"]
    }
    assert len(rows(finished)) == len(expected) == 100
    for row in rows(finished):
        answer = expected[row["path"]]
        for prediction in row["predictions"]:
            assert prediction["score"] == pytest.approx(answer[prediction["label"]], abs=1e-4)
    with output.open(newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert [row["path"] for row in written] == [row["path"] for row in rows(finished)]
    assert [float(row["score"]) for row in written] == [row["score"] for row in rows(finished)]


def test_every_damaged_file_that_is_named_gets_its_row(
    system: System, fixtures_folder: Path, frozen: dict[str, Any], tmp_path: Path
) -> None:
    photo = fixtures_folder / "tutorial-dogs-cats" / "images" / "cats" / "cat.1006.jpg"
    good = photo.read_bytes()
    damaged = {
        "=1+1.jpg": b"no image",
        "caf\udce9.jpg": good[:2000],
        "empty.png": b"",
        'new\nline "q".jpg': good,
        "huge.jpg": good + bytes(30 * 1024 * 1024),
        "renamed.png": good,
    }
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name, content in damaged.items():
        (folder / name).write_bytes(content)
    finished = run(system, "classify", *folder.iterdir(), "--model", "from-cli", "--json")
    assert finished.returncode == 1
    found = {Path(row["path"]).name: row for row in rows(finished)}
    assert len(found) == len(damaged)
    codes = {name: row["error"] and row["error"]["code"] for name, row in found.items()}
    assert codes == {
        "=1+1.jpg": "unsupported_media",
        "caf\\xe9.jpg": "truncated",
        "empty.png": "not_an_image",
        'new\nline "q".jpg': None,
        "huge.jpg": "too_large",
        "renamed.png": None,
    }


def test_lists_are_json_for_a_script_and_tables_for_a_person(
    system: System, frozen: dict[str, Any]
) -> None:
    names = [model["name"] for model in document(run(system, "models", "--json"))["models"]]
    assert "from-cli" in names
    versions = document(run(system, "models", "from-cli", "--json"))["versions"]
    assert versions[0]["labels"] == ["cats", "dogs"]
    workers = document(run(system, "workers", "--json"))["workers"]
    assert {"interactive", "freezing"} <= {queue for row in workers for queue in row["queues"]}
    listed = document(run(system, "jobs", "--kind", "freeze", "--limit", "1", "--json"))
    assert len(listed["jobs"]) == 1
    assert document(run(system, "jobs", "--json", frozen["id"]))["result"] == frozen["result"]
    for arguments in (["models"], ["models", "from-cli"], ["workers"], ["jobs"]):
        finished = run(system, *arguments)
        assert finished.returncode == 0, finished.stderr
        assert finished.stdout.strip()


def test_a_job_can_be_cancelled(system: System, frozen: dict[str, Any]) -> None:
    job = document(run(system, "cancel", frozen["id"], "--json"))
    assert job["status"] == "succeeded"  # it had ended
    finished = run(system, "cancel", "no-such-job")
    assert (finished.returncode, finished.stdout) == (1, "")
    assert len(finished.stderr.splitlines()) == 1


def test_no_server_is_exit_code_3(system: System) -> None:
    finished = run(system, "jobs", "--server", "127.0.0.1:9")
    assert (finished.returncode, finished.stdout) == (3, "")
    assert finished.stderr.startswith("No Permafrost server answers at http://127.0.0.1:9")
