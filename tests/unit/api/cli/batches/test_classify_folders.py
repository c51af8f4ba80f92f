"""`classify` with folders and many files: what becomes a batch, and its table."""

import csv
import json
import re
from pathlib import Path

import httpx
import pytest

from tests.support.batch_commands import NAMES
from tests.support.batch_server import BatchServer
from tests.support.command_line import JPEG, rows, run


def kinds(server: BatchServer) -> set[str]:
    return {request.url.path.split("/")[2] for request in server.requests}


def test_a_folder_becomes_one_batch_with_paths_relative_to_it(
    server: BatchServer, photos: Path
) -> None:
    found = run("classify", "photos", "--model", "pets", "--top", "3", "--output", "out.csv")
    assert found.exit_code == 0
    batch = server.the_batch()
    assert batch.options == {"open": True, "model": "pets@2", "top": 3}
    assert batch.sealed
    assert batch.images == {name: (photos / name).read_bytes() for name in NAMES}
    assert "10 classified, 0 failed. 1 other file passed over." in found.stderr
    with Path("out.csv").open(newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert [row["path"] for row in written] == NAMES
    assert {(row["label"], row["model"], row["version"]) for row in written} == {
        ("cat", "pets", "2")
    }


@pytest.mark.parametrize(("count", "kind"), [(8, "predictions"), (9, "batches")])
def test_a_few_files_are_predictions_and_more_are_a_batch(
    server: BatchServer, photos: Path, count: int, kind: str
) -> None:
    run("classify", *(f"photos/{number}.jpg" for number in range(count)))
    assert kinds(server) - {"models", "jobs"} == {kind}


def test_names_in_a_batch_of_several_paths_are_as_they_were_given(
    server: BatchServer, photos: Path
) -> None:
    Path("../x.jpg").write_bytes(JPEG)
    found = run("classify", "photos", "../x.jpg", photos / "0.jpg", "--json")
    assert [row["path"] for row in rows(found)] == [
        *(f"photos/{name}" for name in NAMES),
        "../x.jpg",
        str(photos / "0.jpg"),
    ]


def test_the_rows_on_standard_output_are_json_lines_and_the_file_has_the_same(
    server: BatchServer, photos: Path
) -> None:
    (photos / "3.jpg").write_bytes(JPEG + b"bad")
    found = run("classify", "photos", "--json", "--output", "out.jsonl")
    assert found.exit_code == 1
    assert [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()] == rows(found)
    row = rows(found)[3]
    assert (row["path"], row["status"], row["error"]["code"]) == ("3.jpg", "failed", "truncated")
    assert "9 classified, 1 failed" in found.stderr


def test_many_photographs_are_summed_up_by_label_with_the_first_failures(
    server: BatchServer, photos: Path
) -> None:
    for number in range(60):
        ending = b"bad" if number < 25 else b""
        (photos / f"n{number:03}.jpg").write_bytes(JPEG + ending)
    found = run("classify", "photos")
    assert found.exit_code == 1
    assert re.search(r"^cat\s+45\s+100\.0%\s+97\.0%", found.stdout, re.MULTILINE)
    assert re.search(r"^n000\.jpg\s+The image is cut off", found.stdout, re.MULTILINE)
    assert "and 5 more" in found.stdout
    assert "n050.jpg" not in found.stdout


def test_any_name_reaches_the_server_and_comes_back(server: BatchServer, photos: Path) -> None:
    folder = Path("odd")
    names = [
        *("a b.jpg", 'q"uote.jpg', "l\nf.jpg", "c\rr.jpg", "back\\slash.jpg", "per%22cent%0A.jpg"),
        *("=1+1.jpg", "ü猫😀.jpg", "semi;colon=.jpg", "quote'.jpg", " lead.jpg", "trail .jpg"),
        *(
            "C:\\x.jpg",
            "\\\\host\\x.jpg",
            "line\u2028end.jpg",
            "caf\udce9.jpg",
            "\x01.jpg",
            "-.jpg",
        ),
        "x" * 251 + ".jpg",
    ]
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(JPEG)
    found = run("classify", "odd", "--json", "--output", "out.jsonl")
    assert found.exit_code == 0
    expected = {name.replace("\udce9", r"\xe9") for name in names}
    assert set(server.the_batch().images) == expected
    assert {row["path"] for row in rows(found)} == expected
    assert len(rows(found)) == len(names)


def test_a_folder_without_images_is_wrong_usage(server: BatchServer, photos: Path) -> None:
    Path("texts").mkdir()
    Path("texts/a.txt").write_text("text")
    found = run("classify", "texts")
    assert (found.exit_code, found.stdout) == (2, "")
    assert "There are no images in texts (1 other file)." in found.stderr
    assert server.requests == []


def test_no_server_is_exit_code_3(server: BatchServer, photos: Path) -> None:
    def refuse(_: httpx.Request) -> None:
        raise httpx.ConnectError("refused")

    server.answer_before = refuse
    found = run("classify", "photos", "--json")
    assert (found.exit_code, found.stdout) == (3, "")
    assert "No Permafrost server answers" in found.stderr
