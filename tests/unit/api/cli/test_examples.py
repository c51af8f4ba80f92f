"""`freeze --examples` and `try`, against a server that is made up."""

import re
from pathlib import Path

import pytest

from tests.support.command_line import FROZEN, JPEG, Server, job, run

PROOF = {
    "clear": True,
    "examples": 4,
    "left_out": 0,
    "unreadable": ["'x.jpg': It is cut off."],
    "labels": 2,
    "candidates": [
        {
            "called": "values from -1 to 1, BGR",
            "right": 4,
            "of": 4,
            "log_likelihood": -0.0123,
            "odds": 1.0,
            "taken": True,
            "preprocessing": {"preset": "minus_one_one", "color": "bgr"},
        },
        {
            "called": "values from 0 to 1, RGB",
            "right": 2,
            "of": 4,
            "log_likelihood": -3.5,
            "odds": None,
            "taken": False,
            "preprocessing": {"preset": "zero_one", "color": "rgb"},
        },
    ],
    "before": {"right": 4, "of": 4, "log_likelihood": -0.0123},
    "after": {"right": 4, "of": 4, "log_likelihood": -0.0123},
}


def _photos(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(JPEG + name.encode())


def _parts(server: Server) -> tuple[list[bytes], bytes]:
    """Return the names of the examples that were sent, and their table."""
    sent = server.requests_to("/v1/freezes")[-1].content
    names = re.findall(rb'name="examples"; filename="(.*?)"', sent)
    table = re.search(rb'filename="examples\.csv".*?\r\n\r\n(.*?)\r\n--', sent, re.DOTALL)
    return names, table[1] if table else b""


def test_a_folder_of_examples_is_sent_with_a_table_of_labels(
    freezing: Server, checkpoint: Path
) -> None:
    _photos(Path("ex"), "cat/a b.jpg", "dog, big/1.jpg", "dog, big/notes.txt.jpg")
    freezing.jobs["f1"][-1]["result"] = FROZEN | {"examples": PROOF}
    found = run("freeze", "model", "--name", "pets", "--examples", "ex")
    assert found.exit_code == 0
    names, table = _parts(freezing)
    assert names == [b"001-a_b.jpg", b"002-1.jpg", b"003-notes.txt.jpg", b"examples.csv"]
    assert table == (
        b'file,label\r\n001-a_b.jpg,cat\r\n002-1.jpg,"dog, big"\r\n003-notes.txt.jpg,"dog, big"\r\n'
    )
    assert freezing.sent() == {"name": "pets"}
    said = " ".join(found.stdout.split())
    assert "values from -1 to 1, BGR (taken) 4 of 4 -0.0123" in said
    assert "values from 0 to 1, RGB 2 of 4 -3.5 over 1,000,000 times" in said
    assert "Right examples: 4 of 4 before freezing, 4 of 4 after." in said
    assert "Left out: 'x.jpg': It is cut off." in said


def test_single_examples_and_a_table_are_sent_alike(freezing: Server, checkpoint: Path) -> None:
    _photos(Path(), "a.jpg", "b=c.jpg", "in/d.jpg")
    Path("t.csv").write_text("in/d.jpg;dog\n")
    found = run(
        *("freeze", "model", "--name", "pets", "--example", "a.jpg=cat"),
        *("--example", "b=c.jpg=tabby cat", "--examples", "t.csv"),
    )
    assert found.exit_code == 0
    names, table = _parts(freezing)
    assert names == [b"001-a.jpg", b"002-b_c.jpg", b"003-d.jpg", b"examples.csv"]
    assert table.split(b"\r\n")[1:-1] == [
        b"001-a.jpg,cat",
        b"002-b_c.jpg,tabby cat",
        b"003-d.jpg,dog",
    ]


def test_an_archive_is_sent_as_it_is_and_a_path_of_the_server_is_named(
    freezing: Server, checkpoint: Path
) -> None:
    Path("ex.zip").write_bytes(b"PK\x03\x04")
    assert run("freeze", "model", "--name", "pets", "--examples", "ex.zip").exit_code == 0
    assert _parts(freezing) == ([b"ex.zip"], b"")
    found = run("freeze", "trained/m", "--name", "pets", "--examples", "there")
    assert freezing.sent() == {"source": "trained/m", "name": "pets", "examples": "there"}
    assert "there is not on this machine" in found.stderr


def test_what_is_no_example_is_said(freezing: Server, checkpoint: Path) -> None:
    _photos(Path(), "a.jpg", "loose/b.jpg")
    for arguments, said in (
        (("--example", "a.jpg"), "--example takes FILE=LABEL"),
        (("--example", "no.jpg=cat"), "there is no picture no.jpg"),
        (("--examples", "loose"), "lies in no sub-folder"),
        (("--examples", "nowhere", "--example", "a.jpg=cat"), "nowhere is not there"),
    ):
        found = run("freeze", "model", "--name", "pets", *arguments)
        assert found.exit_code != 0
        assert said in " ".join(found.stderr.split())
    assert not freezing.requests_to("/v1/freezes")


def test_try_shows_the_answers_side_by_side_and_what_to_type(
    freezing: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _photos(Path(), "a.jpg", "b.jpg")
    way = {
        "called": "values from 0 to 1, RGB, stretched with bilinear",
        "served": True,
        "preprocessing": {"preset": "zero_one", "color": "rgb"},
        "command": "./permafrost models pets --preprocessing zero_one",
        "answers": [[{"label": "cat", "score": 0.7}], [{"label": "cat", "score": 0.6}]],
    }
    other = way | {
        "called": "values from 0 to 255, RGB, stretched with bilinear",
        "served": False,
        "command": "./permafrost models pets --preprocessing raw",
        "answers": [[{"label": "dog", "score": 0.9}], [{"label": "cat", "score": None}]],
    }
    result = {"model": "pets", "version": 2, "images": ["a.jpg", "b.jpg"], "ways": [way, other]}
    freezing.submitted = job("f1", "queued", kind="comparison")
    freezing.jobs["f1"] = [job("f1", kind="comparison", result=result)]
    found = run("try", "pets", "a.jpg", "b.jpg", "--server", "http://other:9")
    assert found.exit_code == 0, found.stderr
    request = freezing.requests_to("/v1/comparisons")[0]
    assert dict(request.url.params) == {"model": "pets", "top": "1"}
    names = re.findall(rb'name="images"; filename="(.*?)"', request.content)
    assert names == [b"a.jpg", b"b.jpg"]
    said = " ".join(found.stdout.split())
    assert "values from 0 to 1, RGB, stretched with bilinear (as it is now)" in said
    assert "dog 90.0%" in said
    command = "2 ./permafrost models pets --preprocessing raw --server http://other:9"
    assert command in said
    assert "--preprocessing zero_one" not in said
    missing = run("try", "pets", "no.jpg")
    assert missing.exit_code != 0
    assert "no.jpg cannot be read" in missing.stderr
