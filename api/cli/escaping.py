"""Text that strangers wrote, as it may be written to a terminal."""

import re

# Control characters, what changes the direction of writing, and what is no character at all:
# a file name or a label must not be able to move the cursor or to crash an encoder.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escaped(value: object) -> str:
    """Return a value as one line of text; control characters become escapes; None becomes -."""
    if value is None:
        return "-"
    return _UNSAFE.sub(
        lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), str(value)
    )
