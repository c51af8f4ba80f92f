"""What to say of a field that nothing has: its name is a stranger's, and often nearly right."""

from collections.abc import Iterable
from difflib import get_close_matches

from worker.printable import printable

LONGEST_SHOWN = 80  # characters of a name that somebody made up


def no_field(called: str, name: str, fields: Iterable[str]) -> str:
    """Return the sentence for a field of this name in something that is called so."""
    near = get_close_matches(name[:LONGEST_SHOWN], list(fields), n=1)
    meant = f" Did you mean '{near[0]}'?" if near else ""
    return f"The {called} has no field '{printable(name)[:LONGEST_SHOWN]}'.{meant}"
