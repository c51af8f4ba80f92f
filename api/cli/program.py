"""What this program is called where it is typed, which is what its messages say to type."""

import re

# In a clone it is the launcher; where the client was installed, a command on the PATH.
PROGRAM = "permafrost" if __name__.startswith("permafrost.") else "./permafrost"
# How sentences of a server begin a command; these three are for the server's own machine.
_COMMAND = re.compile(r"\./permafrost (?!(?:up|keys|webhooks)\b)")


def command(words: str) -> str:
    """Return a command to type; a server may have put its own name for the program before it."""
    return f"{PROGRAM} {_COMMAND.sub('', words, count=1)}"


def as_typed_here(sentence: str) -> str:
    """Return a sentence of a server with its commands as they are typed here."""
    return _COMMAND.sub(f"{PROGRAM} ", sentence)
