"""Examples, pictures whose label is known, as people keep them: in folders, or in a table.

Those that a server gets come from outside: only files below the folder count then, and all is
bounded.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from worker.errors import ExamplesError
from worker.formatting import binary_size
from worker.images.kinds import HEAD, sniff
from worker.printable import printable

MOST_EXAMPLES = 200  # that are sent and tried: ten for each of twenty classes
_MOST_FILES = 20_000  # examined at most
_MOST_TABLE_BYTES = 4 << 20
_LONGEST_LABEL = 500  # characters
_DELIMITERS = ",;\t"
_HEADER = frozenset(
    {"file", "filename", "file_name", "path", "image", "image_path", "picture", "photo", "id"}
)


@dataclass(frozen=True, kw_only=True)
class Example:
    """A picture whose class is known."""

    path: Path
    label: str


def find_examples(place: Path, *, is_own: bool = False) -> list[Example]:
    """Return the examples of a folder, or of a table (CSV), in a fixed order.

    A folder that holds a table is read by that; of several, by `examples.csv`. Files that are no
    pictures are skipped. Where `is_own`, links and paths may lead anywhere, because the user who
    wrote them may read those files anyway. Raises `ExamplesError`.
    """
    table = place if place.is_file() else _table(place)
    found = (
        _of_table(table, is_own=is_own) if table is not None else _of_folders(place, is_own=is_own)
    )
    if not found:
        raise ExamplesError(
            "There is no example: bring a folder with one sub-folder of pictures for each class, "
            "or a CSV with a file and its label in each row."
        )
    return found


def _table(folder: Path) -> Path | None:
    """Return the table in a folder, or in the only thing in it, a folder as archives have it."""
    children = [path for path in folder.iterdir() if not _is_hidden(path)]
    tables = sorted(path for path in children if path.suffix.lower() == ".csv" and path.is_file())
    named = [path for path in tables if path.name.lower() == "examples.csv"]
    if len(tables) > 1 and not named:
        raise ExamplesError(
            f"The examples hold {len(tables)} tables: call the one that names the pictures and "
            "their labels examples.csv."
        )
    if not tables and len(children) == 1 and children[0].is_dir():
        return _table(children[0])
    return next(iter(named or tables), None)


def _of_table(table: Path, *, is_own: bool) -> list[Example]:
    called = printable(table.name)[:80]
    if table.stat().st_size > _MOST_TABLE_BYTES:
        raise ExamplesError(f"'{called}' is larger than {binary_size(_MOST_TABLE_BYTES)}.")
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ExamplesError(f"'{called}' is not a text file in UTF-8.") from None
    if "\0" in text:
        raise ExamplesError(f"'{called}' is no table: it holds bytes that are no text.")
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    found = []
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(row)]
    except csv.Error as error:
        raise ExamplesError(f"'{called}' cannot be read as CSV: {error}.") from None
    if rows and rows[0][0].strip().casefold() in _HEADER:
        del rows[0]
    for number, row in enumerate(rows, 1):
        if len(row) < 2 or not row[1].strip():
            raise ExamplesError(
                f"'{called}', row {number}: a file and its label are needed, as in photo.jpg,cat."
            )
        name, label = row[0].strip(), row[1].strip()
        path = _named(table.parent, name, is_own=is_own)
        if path is None:
            raise ExamplesError(
                f"'{called}', row {number}: there is no picture '{printable(name)[:80]}' beside "
                "the table. Paths are relative to the table's folder."
            )
        found.append(Example(path=path, label=_label(label)))
    return found


def _named(folder: Path, name: str, *, is_own: bool) -> Path | None:
    """Return the file of that name, which must lie below the folder wherever links lead."""
    relative = PurePosixPath(name.replace("\\", "/"))
    leads_out = relative.is_absolute() or ".." in relative.parts
    if "\0" in name or not relative.name or (leads_out and not is_own):
        return None
    try:
        path = (folder / relative).resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    inside = is_own or path.is_relative_to(folder.resolve())
    return path if inside and path.is_file() else None


def _of_folders(folder: Path, *, is_own: bool) -> list[Example]:
    """Return the pictures of each sub-folder, whose name is their label."""
    root = folder
    while True:  # a folder of nothing but one folder, as archives have it, is passed through
        children = [path for path in sorted(root.iterdir()) if not _is_hidden(path)]
        inner = [path for path in children if path.is_dir()]
        if len(inner) != 1 or any(_is_picture(path) for path in children):
            break
        if not any(path.is_dir() for path in inner[0].iterdir()):
            break  # a single class
        root = inner[0]
    loose = [path for path in children if _is_picture(path)]
    if loose and not inner:
        raise ExamplesError(
            f"The picture '{printable(loose[0].name)[:80]}' lies in no sub-folder, whose name "
            "would be its label: put the pictures of each class into a folder of that name."
        )
    found: list[Example] = []
    for child in inner:
        pictures = sorted(
            path for path in _files(child, folder, is_own=is_own) if _is_picture(path)
        )
        found += [Example(path=path, label=_label(child.name)) for path in pictures]
    return found


def _files(folder: Path, within: Path, *, is_own: bool) -> Iterator[Path]:
    root = within.resolve()
    for seen, path in enumerate(folder.rglob("*")):
        if seen >= _MOST_FILES:
            raise ExamplesError(f"The examples hold more than {_MOST_FILES} files.")
        inside = is_own or path.resolve().is_relative_to(root)
        if inside and not _is_hidden(path) and path.is_file():
            yield path


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".") or path.name == "__MACOSX"


def _is_picture(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return sniff(file.read(HEAD)) is not None
    except OSError:
        return False


def _label(text: str) -> str:
    if len(text) > _LONGEST_LABEL:
        raise ExamplesError(f"A label is longer than {_LONGEST_LABEL} characters.")
    return text


def spread(examples: Sequence[Example], most: int = MOST_EXAMPLES) -> list[Example]:
    """Return at most so many of the examples: of each label as many as can be, from all over."""
    by_label: dict[str, list[Example]] = {}
    for example in examples:
        by_label.setdefault(example.label, []).append(example)
    counts = dict.fromkeys(by_label, 0)
    free = most
    while free > 0 and any(counts[label] < len(of_label) for label, of_label in by_label.items()):
        for label, of_label in by_label.items():
            if free > 0 and counts[label] < len(of_label):
                counts[label] += 1
                free -= 1
    return [
        of_label[place * len(of_label) // counts[label]]
        for label, of_label in by_label.items()
        for place in range(counts[label])
    ]
