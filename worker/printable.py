"""Text that strangers made up, as it may be shown: on a page, in a terminal, in a log."""


def printable(text: str) -> str:
    """Return text in one line, with a question mark for each character that cannot be shown.

    Such as control characters, which a terminal obeys, and halves of surrogate pairs, as Python
    reads names that are not UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))
