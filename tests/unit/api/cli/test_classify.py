"""`classify` with a few images, each a prediction, against a server that is made up."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.batch_server import problem
from tests.support.command_line import FILES, JPEG, Job, Server, job, predicted, rows, run


def test_one_photograph_gives_its_ranked_labels(server: Server, photos: Path) -> None:
    found = run("classify", "photos/a.jpg", "--model", "pets", "--top", "3")
    assert found.exit_code == 0
    assert re.search(r"cat\s+97\.0%\s+other\s+3\.0%", found.stdout)
    asked = server.requests_to("/v1/predictions")[0]
    assert dict(asked.url.params) == {"model": "pets@2", "top": "3"}


def test_a_photograph_comes_from_standard_input(server: Server, photos: Path) -> None:
    found = run("classify", "-", "--json", stdin=(photos / "a.jpg").read_bytes())
    assert found.exit_code == 0
    assert [(row["path"], row["label"]) for row in rows(found)] == [("-", "cat")]
    assert server.requests_to("/v1/predictions")[0].content == (photos / "a.jpg").read_bytes()


def test_standard_input_that_is_empty_or_not_alone_is_said(server: Server, photos: Path) -> None:
    assert "The file is empty." in run("classify", "-", stdin=b"").stderr
    refused = run("classify", "-", "photos/a.jpg", stdin=b"x")
    assert (refused.exit_code, server.requests_to("/v1/predictions")) == (2, [])
    assert "stands alone" in refused.stderr


def test_a_few_photographs_give_a_table_in_order(server: Server, photos: Path) -> None:
    found = run("classify", *FILES, "--model", "pets")
    assert found.exit_code == 0
    assert re.findall(r"^photos/\S+", found.stdout, re.MULTILINE) == list(FILES)
    assert "3 classified, 0 failed." in found.stderr


@pytest.mark.parametrize("order", ["before", "after"])
def test_json_lines_are_the_rows_in_order_and_all_there_is(
    server: Server, photos: Path, order: str
) -> None:
    (photos / "b.jpg").write_bytes(JPEG + b"bad")
    options = ["--json", "--model", "pets"]
    found = run(
        "classify",
        *(options if order == "before" else []),
        *FILES,
        *(options if order == "after" else []),
    )
    assert found.exit_code == 1
    assert [list(row) for row in rows(found)] == [
        ["path", "status", "label", "score", "predictions", "error", "model", "version", "sha256"]
    ] * 3
    first, second, third = rows(found)
    assert (first["path"], first["status"], first["label"]) == ("photos/a.jpg", "succeeded", "cat")
    assert first["score"] == first["predictions"][0]["score"] == 0.97
    assert (second["status"], second["label"], second["predictions"]) == ("failed", None, None)
    assert second["error"]["code"] == "truncated"
    assert third["path"] == "photos/sub/c.png"
    assert (third["model"], third["version"], third["sha256"]) == ("pets", 2, "ab" * 32)


def test_one_bad_file_costs_one_row_and_the_exit_code(server: Server, photos: Path) -> None:
    (photos / "b.jpg").write_bytes(JPEG + b"bad")
    found = run("classify", *FILES, "--model", "pets", "--output", "out.csv")
    assert found.exit_code == 1
    assert "2 classified, 1 failed" in found.stderr
    lines = Path("out.csv").read_text().splitlines()
    assert lines[0] == "path,status,label,score,predictions,error,model,version,sha256"
    assert lines[2] == (
        "photos/b.jpg,failed,,,,truncated: The image is cut off before its last pixel.,"
        f"pets,2,{'ab' * 32}"
    )
    assert len(lines) == 4


def test_one_photograph_that_fails_says_why(server: Server, photos: Path) -> None:
    (photos / "a.jpg").write_bytes(JPEG + b"bad")
    found = run("classify", "photos/a.jpg", "--model", "pets")
    assert found.exit_code == 1
    assert "photos/a.jpg: The image is cut off before its last pixel." in found.stderr


def test_a_refused_image_costs_only_its_own_row(server: Server, photos: Path) -> None:
    def classify(image: bytes) -> Job | httpx.Response:
        if image.endswith(b"dog"):
            return problem(413, "too_large", "The image is too large.")
        return predicted(image)

    server.classify = classify
    found = run("classify", *FILES, "--json")
    assert found.exit_code == 1
    assert [row["status"] for row in rows(found)] == ["succeeded", "failed", "succeeded"]
    assert rows(found)[1]["error"] == {"code": "too_large", "message": "The image is too large."}


def test_a_connection_that_one_image_breaks_costs_only_its_own_row(
    server: Server, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.client.waits._FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr("api.client.waits._LATER_PAUSE_S", 0.001)

    def classify(image: bytes) -> Job:
        if image.endswith(b"dog"):
            raise httpx.ReadError("reset")
        return predicted(image)

    server.classify = classify
    found = run("classify", *FILES, "--json")
    assert found.exit_code == 1
    assert [row["status"] for row in rows(found)] == ["succeeded", "failed", "succeeded"]
    assert rows(found)[1]["error"]["code"] == "connection_lost"


def test_an_image_that_waits_in_the_queue_is_followed(server: Server, photos: Path) -> None:
    server.classify = lambda _: job("q", "queued")
    server.jobs["q"] = [predicted(JPEG + b"dog")]
    found = run("classify", "photos/a.jpg", "--json")
    assert (found.exit_code, rows(found)[0]["label"]) == (0, "dog")


def test_a_file_that_cannot_be_sent_is_a_row(
    server: Server, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "b.jpg").write_bytes(b"")
    real = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> object:
        if path.name == "c.png":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    found = run("classify", *FILES, "--json")
    assert found.exit_code == 1
    assert [row["error"] and row["error"]["message"] for row in rows(found)] == [
        None,
        "The file is empty.",
        "photos/sub/c.png cannot be read: Permission denied.",
    ]


def test_a_cancelled_job_is_a_row_of_its_own_kind(server: Server, photos: Path) -> None:
    server.classify = lambda _: job(status="cancelled")
    found = run("classify", "photos/a.jpg", "--json")
    assert found.exit_code == 1
    assert (rows(found)[0]["status"], rows(found)[0]["error"]["code"]) == ("cancelled",) * 2


def test_a_named_file_that_is_no_image_is_a_row_without_being_sent(
    server: Server, photos: Path
) -> None:
    found = run("classify", "photos/notes.txt", "photos/a.jpg", "--json")
    assert found.exit_code == 1
    assert [row["error"] and row["error"]["code"] for row in rows(found)] == [
        "unsupported_media",
        None,
    ]
    assert len(server.requests_to("/v1/predictions")) == 1


def test_results_appear_whole_or_not_at_all(server: Server, photos: Path) -> None:
    Path("out.jsonl").write_text("before")
    server.classify = lambda _: problem(404, "model_not_found", "It was retired.")
    found = run("classify", *FILES, "--output", "out.jsonl")
    assert found.exit_code == 1
    assert "It was retired." in found.stderr
    assert Path("out.jsonl").read_text() == "before"
    assert sorted(path.name for path in Path().iterdir()) == ["out.jsonl", "photos"]


def test_a_server_that_goes_away_leaves_a_row_for_every_image(
    server: Server, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.cli.classify._PATIENCE_S", 0.0)
    monkeypatch.setattr("api.cli.predictions._AT_ONCE", 1)

    def classify(image: bytes) -> Job:
        if image.endswith(b"dog"):
            raise httpx.ConnectError("refused")
        return predicted(image)

    server.classify = classify
    found = run("classify", *FILES, "--json", "--output", "out.jsonl")
    assert found.exit_code == 3
    assert [row["status"] for row in rows(found)] == ["succeeded", "failed", "failed"]
    assert rows(found)[2]["error"]["code"] == "no_server"
    assert Path("out.jsonl").read_text() == found.stdout
    assert "No Permafrost server answers" in found.stderr


@pytest.mark.parametrize(
    ("asked", "sent"),
    [(None, "pets@2"), ("pets", "pets@2"), ("pets@canary", "pets@3"), ("pets@7", "pets@7")],
)
def test_all_images_go_to_the_version_that_was_meant_at_the_start(
    server: Server, photos: Path, asked: str | None, sent: str
) -> None:
    model = [] if asked is None else ["--model", asked]
    assert run("classify", *FILES, *model).exit_code == 0
    asked_for = {r.url.params["model"] for r in server.requests_to("/v1/predictions")}
    assert asked_for == {sent}


def test_without_a_model_the_choices_are_named(server: Server, photos: Path) -> None:
    server.models["flowers"] = server.models["pets"]
    found = run("classify", *FILES)
    assert found.exit_code == 2
    assert "--model: pets, flowers." in found.stderr
    server.models.clear()
    found = run("classify", *FILES)
    assert found.exit_code == 1
    assert "no model yet" in found.stderr


def test_a_model_that_is_not_there_is_one_sentence_before_anything_is_sent(
    server: Server, photos: Path
) -> None:
    found = run("classify", *FILES, "--model", "birds")
    assert (found.exit_code, found.stdout) == (1, "")
    assert "There is no model 'birds'." in found.stderr
    assert server.requests_to("/v1/predictions") == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.jpg"], "There is no file or folder missing.jpg."),
        (["photos", "missing"], "There is no file or folder missing."),
        (["empty"], "There are no images in empty."),
        (["texts"], "There are no images in texts (1 other file)."),
        (["photos", "--output", "out.txt"], "end it with .csv or .jsonl"),
        (["photos", "--output", "folder.csv"], "is a folder"),
        (["photos", "--output", "nowhere/out.csv"], "nowhere is not there"),
        (["photos", "--top", "0"], "--top"),
        (["photos", "--server", "ftp://host"], "not the URL of a server"),
        ([], "Missing argument"),
        (["photos", "--colour"], "No such option"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_a_sentence(
    server: Server, photos: Path, arguments: list[str], words: str
) -> None:
    for folder in ("empty", "texts", "folder.csv"):
        Path(folder).mkdir()
    Path("texts/a.txt").write_text("text")
    found = run("classify", *arguments)
    assert (found.exit_code, found.stdout) == (2, "")
    assert words in found.stderr
    assert server.requests_to("/v1/predictions") == []


def test_names_that_are_not_text_crash_nothing(server: Server, photos: Path) -> None:
    names = ("caf\udce9.jpg", "=1+1.jpg", "two\nlines.jpg", "\x1b[31mred.jpg", "[b]x.jpg")
    for name in names:
        Path(photos / name).write_bytes(JPEG + b"bad")
    files = [f"photos/{name}" for name in names]
    for output in (["--json"], ["--output", "o.csv"], ["--output", "o.jsonl"], []):
        found = run("classify", *files, *output)
        assert found.exit_code == 1
        assert "\x1b" not in found.stdout
    assert r"photos/caf\xe9.jpg" in found.stdout
    assert "photos/[b]x.jpg" in found.stdout
    paths = [json.loads(line)["path"] for line in Path("o.jsonl").read_text("utf-8").splitlines()]
    assert r"photos/caf\xe9.jpg" in paths
    assert "photos/two\nlines.jpg" in paths
    found = run("classify", "photos/caf\udce9.jpg", "nothing\udce9")
    assert found.exit_code == 2


def test_each_prediction_names_who_is_to_be_told(server: Server, photos: Path) -> None:
    found = run("classify", FILES[0], "--model", "pets", "--webhook", "https://example.com/hook")
    assert found.exit_code == 0, found.stderr
    (sent,) = server.requests_to("/v1/predictions")
    assert sent.url.params["webhook"] == "https://example.com/hook"


def test_a_receiver_that_is_refused_stops_the_command(server: Server, photos: Path) -> None:
    server.classify = lambda _: problem(422, "invalid_webhook", "webhook: it is not public.")
    found = run("classify", *FILES[:2], "--model", "pets", "--webhook", "https://x.local/")
    assert found.exit_code != 0
    assert "it is not public" in found.stderr


def test_what_is_assumed_of_the_preprocessing_is_one_line(server: Server, photos: Path) -> None:
    sentence = "How pets prepares images is assumed. Type `./permafrost models pets`."
    server.models["pets"]["versions"][0]["assumption"] = sentence
    for arguments in (["photos/a.jpg"], ["photos/a.jpg", "--json"]):
        found = run("classify", *arguments, "--model", "pets")
        assert (found.exit_code, found.stderr.count(sentence)) == (0, 1)
        assert sentence not in found.stdout
    assert sentence not in run("classify", "photos/a.jpg", "--model", "pets@canary").stderr
