"""Sentences: whether what a person is told can be read by one."""

import re

# Words of Python, its libraries and our own insides, which no answer may show.
_INSIDES = re.compile(
    r"Traceback|Exception|Error\b|Errno|\b0x[0-9a-f]{2}|<\w|\w>|\bNone\b|NoneType|\bTrue\b"
    r"|\bFalse\b|cannot identify|BytesIO|\bPIL\b|Pillow|libtiff|libjpeg|zlib|codec|decoder error"
    r"|encoder|-\d when|struct|unpack requires|tuple|dict\b|subscript|\bself\b|__|\.py\b|object at"
    r"|ssize_t|broken data|broken PNG|not a \w+ file|method gz|bytes not processed|Bad magic"
    r"|buffer is|out of range"
)
_BEGINNING = re.compile(
    r"[A-Z'`]|[A-Za-z0-9][\w.-]*@[1-9]\d* "
    r"|[a-z_]+([.\[][\w\].]+)?(: | must | holds | has | is | needs | names )"
)
_LONGEST = 420


def unclear(sentence: object) -> str | None:
    """Return what is wrong with a sentence for a person; None where it is well."""
    if not isinstance(sentence, str) or not sentence:
        return "there is none"
    if not sentence.endswith((".", "?")):
        return "it does not end"
    # It begins with a capital, or with the name of the version or the field that it is about.
    if not _BEGINNING.match(sentence):
        return "it does not begin"
    if len(sentence) > _LONGEST:
        return "it is too long"
    if "\n" in sentence or not sentence.isprintable():
        return "it has characters that are not to be shown"
    ours = re.sub(r"'[^']*'", "", sentence)  # without what a client is quoted with
    found = _INSIDES.search(ours)
    return f"it says {found[0]!r}" if found else None
