"""What a person gives to `freeze`: constants, labels and preprocessing."""

import json
from pathlib import Path
from typing import Any

import pytest

from api.cli.freeze_options import parse_set, read_labels, read_preprocessing
from worker.contract.source_requests import FreezeRequest
from worker.errors import InvalidRequestError


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("k=true", True),
        ("k=False", False),
        ("k=TRUE", True),
        ("k=1", 1),
        ("k=-3", -3),
        ("k=1.0", 1.0),
        ("k=1e-3", 0.001),
        ("k= 0.5 ", 0.5),
        ("k=[1, 2.5, [true]]", [1, 2.5, [True]]),
        ("scope/k:0=1.0", 1.0),
    ],
)
def test_set_reads_true_false_numbers_and_lists(given: str, value: Any) -> None:
    ((name, found),) = parse_set([given]).items()
    assert name in ("k", "scope/k:0")
    assert (found, type(found)) == (value, type(value))


def test_set_may_be_given_several_times() -> None:
    assert parse_set(["a=1", "b=2"]) == {"a": 1, "b": 2}
    assert parse_set([]) == {}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["k"], "'k' is not that"),
        (["=1"], "NODE=VALUE"),
        ([" =1"], "NODE=VALUE"),
        ([""], "NODE=VALUE"),
        (["k="], "neither true nor false"),
        (["k=fast"], "'fast'"),
        (["k=nan"], "finite"),
        (["k=-inf"], "finite"),
        (["k=[NaN]"], "finite"),
        (["k=1e999"], "finite"),
        (['k="text"'], "neither true nor false"),
        (['k={"a": 1}'], "neither true nor false"),
        (["k=null"], "neither true nor false"),
        (["k=" + "[" * 100_000], "neither true nor false"),
        (["k=1", "k=2"], "k twice"),
        (["caf\udce9=x"], r"caf\\xe9"),
    ],
)
def test_set_says_what_is_wrong(given: list[str], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        parse_set(given)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("cats\ndogs\n", ["cats", "dogs"]),
        ("cats\r\ndogs", ["cats", "dogs"]),
        ("\ufeffcats\ndogs\n\n\n", ["cats", "dogs"]),
        ("  tabby cat \nTibetan mastiff", ["tabby cat", "Tibetan mastiff"]),
        ("0 cat\n1 dog", ["cat", "dog"]),
        ("1 dog\n0 tabby cat", ["tabby cat", "dog"]),
        ("2: c\n1: b\n3: a 9", ["b", "c", "a 9"]),
        ("0\tcat\n1\tdog", ["cat", "dog"]),
        ("0,cat\n1,dog", ["cat", "dog"]),
        # A part number of a shop is not a position.
        ("61326 scratch\n61326 thin", ["61326 scratch", "61326 thin"]),
        ("0 cat\n2 dog", ["0 cat", "2 dog"]),
        ("2 cat\n3 dog", ["2 cat", "3 dog"]),
        ("0 cat\ndog", ["0 cat", "dog"]),
        ("0\n1\n2", ["0", "1", "2"]),
        ("Käthe\n猫", ["Käthe", "猫"]),
    ],
)
def test_labels_are_lines_and_numbers_order_them_only_if_they_count(
    tmp_path: Path, text: str, labels: list[str]
) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(text.encode())
    assert read_labels(path) == labels


def test_labels_may_be_a_json_list(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text('["cat", "dog"]')
    assert read_labels(path) == ["cat", "dog"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("l.txt", b"", "holds no labels"),
        ("l.txt", b"\n \n", "holds no labels"),
        ("l.txt", b"cat\n\ndog", "Label 2 of"),
        ("l.txt", b"\xff\xfe\x00", "not a text file in UTF-8"),
        ("l.json", b"[1]", "JSON list of strings"),
        ("l.json", b"{", "not valid JSON"),
        ("l.json", b"[]", "holds no labels"),
    ],
)
def test_labels_say_what_is_wrong(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidRequestError, match=words):
        read_labels(path)
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        read_labels(tmp_path)


@pytest.mark.parametrize("preset", ["zero_one", "minus_one_one", "raw", "caffe", "imagenet"])
def test_preprocessing_may_be_a_preset(preset: str) -> None:
    assert read_preprocessing(preset) == {"preset": preset}
    assert FreezeRequest.parse({"name": "m", "preprocessing": read_preprocessing(preset)})


def test_preprocessing_may_be_a_file_or_json_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {"preset": "caffe", "size": [224, 224]}
    (tmp_path / "prep.json").write_text(json.dumps(fields))
    (tmp_path / "plain").write_text('"raw"')
    monkeypatch.chdir(tmp_path)
    assert read_preprocessing("prep.json") == fields
    assert read_preprocessing("plain") == {"preset": "raw"}
    assert read_preprocessing(' {"size": [1, 2]}') == {"size": [1, 2]}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("none.json", "cannot be read"),
        ("Zero One", "cannot be read"),
        ('{"size": ', "not valid JSON"),
        ('{"scale": NaN}', "not valid JSON"),
        ("", "cannot be read"),
        ("list.json", "a preset or a JSON object"),
    ],
)
def test_preprocessing_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(InvalidRequestError, match=words):
        read_preprocessing(given)
