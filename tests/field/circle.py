"""The circle: what `inspect` prints is typed, and what an error advises is followed, to the end.

    python -m tests.field.circle SOURCE... [--server URL]

A SOURCE is what a person would hand over: a file, a folder, an archive. Each is inspected with the
command line; the command that comes out is typed, and so is the option that a refusal names, until
the model is published or refused with nothing more to type. Without a server one is started. The
exit code is 1 where a circle stays open: a command cannot be typed, advice leads nowhere, or
something is said that is not for people.
"""

import argparse
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.support.system import ROOT, System, clean_environment

End = Literal["published", "kept", "refused", "open"]

_MOST_STEPS = 6  # commands typed for one source
_LONGEST_S = 600  # of one command
_COMMAND = re.compile(r"(?:^|: |`)\./permafrost (freeze [^`\n]+)", re.MULTILINE)
_ADVICE = re.compile(
    r"(--(?:set|output|input|signature|checkpoint|preprocessing|scores|batch))[ =]"
    r"('[^']*'|\"[^\"]*\"|[^\s'\"`,;()]+)|(--averages)\b"
)
_NOT_FOR_PEOPLE = re.compile(
    r"Traceback \(most recent call last\)|\b(?:KeyError|ValueError|TypeError|AttributeError)\b|"
    r"<[a-z_.]+ object at 0x"
)


@dataclass
class Walk:
    """What became of one source."""

    source: Path
    typed: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)  # in answer to each
    end: End = "open"
    why: str = ""

    def __str__(self) -> str:
        return f"{self.end:9}  {self.source}  {self.why}".rstrip()


def walk(url: str, source: Path, name: str) -> Walk:
    """Walk the circle of one source on a running system; what is published is called `name`."""
    found = Walk(source)
    code, text = _typed(found, url, ["inspect", str(source)])
    command = _COMMAND.search(text) if code == 0 else None
    if command is None:
        return _ended(found, "refused" if code == 1 else "open", text)
    words = _named(shlex.split(command[1]), name)
    while len(found.typed) < _MOST_STEPS:
        code, text = _typed(found, url, words)
        if code == 0:
            end: End = "kept" if "It is published to be downloaded" in text else "published"
            return _ended(found, end, "")
        if code != 1:
            return _ended(found, "open", f"this cannot be typed: {text}")
        advised = next((words + more for more in advice(text) if not _has(words, more)), None)
        if advised is None:
            is_followed = len(found.typed) > 2 and text in found.said[:-1]
            return _ended(found, "open" if is_followed else "refused", text)
        words = advised
    return _ended(found, "open", f"no end after {_MOST_STEPS} commands: {text}")


def _typed(found: Walk, url: str, words: Sequence[str]) -> tuple[int, str]:
    """Type a command; return its exit code and all that it says."""
    finished = subprocess.run(
        [sys.executable, "-P", "-m", "deploy", *words],
        cwd=ROOT,
        env=clean_environment(PERMAFROST_URL=url, PYTHONPATH=str(ROOT), COLUMNS="400"),
        capture_output=True,
        text=True,
        timeout=_LONGEST_S,
        check=False,
    )
    said = f"{finished.stdout}\n{finished.stderr}" if finished.returncode == 0 else finished.stderr
    found.typed.append(shlex.join(["./permafrost", *words]))
    found.said.append(said.strip())
    return finished.returncode, said.strip()


def _ended(found: Walk, end: End, why: str) -> Walk:
    found.end, found.why = end, " ".join(why.split())
    odd = next((odd for text in found.said if (odd := _NOT_FOR_PEOPLE.search(text))), None)
    if odd is not None:
        found.end, found.why = "open", f"'{odd[0]}' is said to a person: {found.why}"
    return found


def _named(words: list[str], name: str) -> list[str]:
    """Return the command with another name for the model: each circle has its own."""
    place = words.index("--name") + 1
    return [*words[:place], name, *words[place + 1 :]]


def advice(text: str) -> Iterator[list[str]]:
    """Yield the options that a refusal names, with their values, as they are typed."""
    for match in _ADVICE.finditer(text):
        if match[3]:
            yield [match[3]]
        else:
            value = match[2].replace("HEIGHT", "64").replace("WIDTH", "64")
            yield [match[1], *shlex.split(value.rstrip("."))]


def _has(words: list[str], more: list[str]) -> bool:
    """Whether a command already says this."""
    return any(words[at : at + len(more)] == more for at in range(len(words)))


def main() -> int:
    """Walk the circles of the sources that are named, and print what became of each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sources", nargs="+", type=Path, metavar="SOURCE")
    parser.add_argument("--server", help="of a running system; without it one is started")
    parser.add_argument("--verbose", action="store_true", help="print what is typed and said")
    given = parser.parse_args()
    if given.server:
        return _walk_all(given.server, given.sources, given.verbose)
    with tempfile.TemporaryDirectory() as folder:
        system = System(Path(folder) / "data", options=["--no-demo"])
        try:
            system.start()
            return _walk_all(system.url, given.sources, given.verbose)
        finally:
            system.stop()


def _walk_all(url: str, sources: list[Path], verbose: bool) -> int:
    walks = []
    for number, source in enumerate(sources):
        found = walk(url, source.absolute(), f"circle-{number}")
        walks.append(found)
        if verbose:
            for typed, said in zip(found.typed, found.said, strict=True):
                print(f"$ {typed}\n{said}\n")
        print(found, flush=True)
    return 1 if any(found.end == "open" for found in walks) else 0


if __name__ == "__main__":
    sys.exit(main())
