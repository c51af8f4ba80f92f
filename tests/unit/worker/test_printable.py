"""Text that strangers made up, as it may be shown."""

import pytest

from worker.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Größe ✓", "Größe ✓"),
        ("two\nlines\tand more", "two lines and more"),
        ("\x1b[2J\x07", "?[2J?"),
        ("caf\udce9.jpg", "caf?.jpg"),
        ("\u202egnp.exe", "?gnp.exe"),
        ("", ""),
    ],
)
def test_what_cannot_be_shown_is_a_question_mark(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text).isprintable()
