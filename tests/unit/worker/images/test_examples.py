"""Examples as people bring them: folders, tables, and what strangers make of these."""

from pathlib import Path

import pytest

from tests.support.api import photograph
from worker.errors import ExamplesError
from worker.images import examples
from worker.images.examples import Example, find_examples, spread

PICTURE = photograph(size=(4, 4))


def _made(folder: Path, *names: str, content: bytes = PICTURE) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _pairs(place: Path) -> list[tuple[str, str]]:
    return [(example.path.name, example.label) for example in find_examples(place)]


def test_a_folder_of_each_label_is_read_wherever_an_archive_has_put_it(tmp_path: Path) -> None:
    _made(tmp_path, "photos/cat/1.jpg", "photos/cat/old/2.jpg", "photos/dog/3.jpg")
    _made(tmp_path, "photos/dog/notes.txt", "photos/cat/Thumbs.db", content=b"no picture")
    _made(tmp_path, "__MACOSX/photos/cat/._1.jpg", "photos/cat/._1.jpg")
    assert _pairs(tmp_path) == [("1.jpg", "cat"), ("2.jpg", "cat"), ("3.jpg", "dog")]


def test_a_single_label_is_one_too(tmp_path: Path) -> None:
    _made(tmp_path, "cat/1.jpg")
    assert _pairs(tmp_path) == [("1.jpg", "cat")]


@pytest.mark.parametrize(
    "table",
    [
        "a.jpg,cat\nin/b.jpg,dog\n",
        "file,label\na.jpg,cat\nin/b.jpg,dog\n",
        "\ufeffFilename;Class\r\na.jpg;cat\r\nin\\b.jpg;dog\r\n",
        "image\tlabel\tsplit\na.jpg\tcat\ttrain\n\nin/b.jpg\t dog \ttest\n",
        'a.jpg,"cat"\n"in/b.jpg",dog',
    ],
)
def test_a_table_names_files_and_their_labels(tmp_path: Path, table: str) -> None:
    _made(tmp_path, "a.jpg", "in/b.jpg")
    (tmp_path / "any.csv").write_text(table, "utf-8", newline="")
    assert _pairs(tmp_path) == [("a.jpg", "cat"), ("b.jpg", "dog")]
    assert _pairs(tmp_path / "any.csv") == [("a.jpg", "cat"), ("b.jpg", "dog")]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (b"../secret.jpg,cat", "row 1: there is no picture '../secret.jpg'"),
        (b"/etc/passwd,cat", "row 1: there is no picture"),
        (b"link.jpg,cat", "row 1: there is no picture"),
        (b"a.jpg,cat\na.jpg", "row 2: a file and its label are needed"),
        (b"a.jpg\n", "row 1: a file and its label are needed"),
        (b"a.jpg,\xff", "not a text file in UTF-8"),
        (b"a.jpg,c\0t", "bytes that are no text"),
        (b"a.jpg," + b"c" * 501, "longer than 500 characters"),
        (b'"' + b"a" * 140_000 + b'",cat', "cannot be read as CSV"),
        (b"", "There is no example"),
    ],
)
def test_tables_of_strangers_are_refused_in_words(tmp_path: Path, table: bytes, said: str) -> None:
    folder = tmp_path / "in"
    _made(tmp_path, "secret.jpg", "in/a.jpg")
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "t.csv").write_bytes(table)
    with pytest.raises(ExamplesError) as caught:
        find_examples(folder)
    assert said in caught.value.message


def test_what_leads_out_of_a_folder_is_no_example(tmp_path: Path) -> None:
    _made(tmp_path, "out/1.jpg", "in/dog/2.jpg")
    (tmp_path / "in" / "cat").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "dog" / "3.jpg").symlink_to(tmp_path / "out" / "1.jpg")
    assert _pairs(tmp_path / "in") == [("2.jpg", "dog")]
    own = find_examples(tmp_path / "in", is_own=True)
    assert [example.label for example in own] == ["cat", "dog", "dog"]


def test_pictures_without_a_folder_have_no_label(tmp_path: Path) -> None:
    _made(tmp_path, "1.jpg")
    with pytest.raises(ExamplesError, match=r"'1\.jpg' lies in no sub-folder"):
        find_examples(tmp_path)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ExamplesError, match="There is no example"):
        find_examples(tmp_path / "nothing")


def test_no_folder_is_too_large_to_be_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examples, "_MOST_FILES", 3)
    _made(tmp_path, *(f"cat/{number}.jpg" for number in range(5)), "dog/1.jpg")
    with pytest.raises(ExamplesError, match="more than 3 files"):
        find_examples(tmp_path)


def test_of_many_as_many_of_each_label_are_taken_from_all_over() -> None:
    cats = [Example(path=Path(f"{number}.jpg"), label="cat") for number in range(90)]
    dogs = [Example(path=Path(f"{number}.jpg"), label="dog") for number in range(3)]
    taken = spread([*cats, *dogs], 9)
    assert [example.path.name for example in taken if example.label == "dog"] == [
        "0.jpg",
        "1.jpg",
        "2.jpg",
    ]
    assert [example.path.name for example in taken if example.label == "cat"] == [
        *("0.jpg", "15.jpg", "30.jpg", "45.jpg", "60.jpg", "75.jpg")
    ]
    assert spread(dogs, 9) == dogs
