"""Makes `.venv` and installs the locked requirements; the launcher runs this as a script.

It runs on the machine's own Python before anything is installed, so it uses nothing but the
standard library and imports nothing of Permafrost.

    python -I install.py ROOT REQUIREMENTS STAMP CHECKSUM [ENVIRONMENT]

ENVIRONMENT is `.venv` unless told otherwise: the benchmarks' peers have one of their own.

The stamp file is written last: an installation that was interrupted has none and is done again.
"""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ENVIRONMENT = ".venv"

PYTHON_WORKS = "import sys, pip; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))"

PIP_INSTALL = ("-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--requirement")


class InstallError(Exception):
    """Something that the person at the keyboard has to put right."""


def say(text: str) -> None:
    """Tell the person at the keyboard what happens."""
    print(f"permafrost: {text}", file=sys.stderr, flush=True)


def follow(path: str) -> str:
    """Return what a path leads to, link by link, spelled as the launcher's `follow` does."""
    while os.path.islink(path):  # noqa: PTH114 - text in, text out
        link = os.readlink(path)  # noqa: PTH115
        path = link if link.startswith("/") else f"{path.rpartition('/')[0]}/{link}"
    return path


@contextmanager
def locked(root: Path) -> Iterator[int]:
    """Lock the folder against other installations, waiting for them; gives the descriptor.

    The kernel drops the lock with its last holder, so none can be left behind by a crash.
    """
    descriptor = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another ./permafrost is installing right now; waiting for it.")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:  # a file system without locks; installing unguarded is the best left to do
        pass
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def stamp_of(environment: Path, checksum: str) -> str:
    """Return the line that says: these requirements, installed for this Python."""
    return f"{checksum} {follow(f'{environment}/bin/python')}"


def stamped(environment: Path, stamp: Path, checksum: str) -> bool:
    """Tell whether the same was installed before, perhaps while this process waited."""
    try:
        found = stamp.read_text().rstrip("\n")
    except OSError:
        return False
    return found == stamp_of(environment, checksum) and (environment / "bin/python").exists()


def works(python: Path) -> bool:
    """Tell whether the Python of the environment runs; its base may have gone or changed."""
    if not python.exists():
        return False
    found = subprocess.run(
        [str(python), "-I", "-c", PYTHON_WORKS], check=False, capture_output=True
    )
    return found.returncode == 0


def run(arguments: list[str], *, held: int, failure: str) -> None:
    """Run a step visibly. It inherits the lock, so that it is never left unguarded."""
    environment = {**os.environ, "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}
    try:
        done = subprocess.run(arguments, check=False, env=environment, pass_fds=(held,))
    except OSError as error:
        raise InstallError(f"{failure} ({error})") from error
    if done.returncode:
        raise InstallError(failure)


def install(
    root: Path, environment: Path, requirements: str, stamp: Path, checksum: str, held: int
) -> None:
    """Bring the environment to what the requirements say and stamp it."""
    python = environment / "bin" / "python"
    if not works(python):
        what = "Permafrost" if environment.name == ENVIRONMENT else requirements
        say(
            f"making {environment.name} and installing what {what} needs. This happens once, "
            "downloads about 1 GB and takes a few minutes."
        )
        run(
            [sys.executable, "-m", "venv", "--clear", str(environment)],
            held=held,
            failure=f"cannot make {environment}: check that the folder can be written, the disk "
            "has 3 GB free and Python's venv module is whole (Debian, Ubuntu: apt install "
            "python3-venv), then run this again.",
        )
    else:
        say(f"installing {requirements} into {environment.name}, because it is new or has changed.")
    stamp.unlink(missing_ok=True)
    # The lock has a hash for each file: pip then refuses one that is not what was locked.
    hashes = ["--require-hashes"] if environment.name == ENVIRONMENT else []
    run(
        [str(python), *PIP_INSTALL, str(root / requirements), *hashes],
        held=held,
        failure="pip could not install the packages; its last lines above say why. Check the "
        "network and the free space (3 GB), then run this again.",
    )
    fresh = stamp.with_suffix(".new")
    fresh.write_text(stamp_of(environment, checksum) + "\n")
    fresh.replace(stamp)


def main(arguments: list[str]) -> int:
    """Run the script; returns its exit code."""
    root, requirements, stamp_name, checksum, *others = arguments
    folder = Path(root)
    environment = folder / (others[0] if others else ENVIRONMENT)
    stamp = environment / stamp_name
    try:
        with locked(folder) as held:
            if not stamped(environment, stamp, checksum):
                install(folder, environment, requirements, stamp, checksum, held)
    except InstallError as error:
        say(str(error))
        return 1
    except OSError as error:
        say(f"cannot write {error.filename or folder}: {error.strerror}. Put that right and retry.")
        return 1
    except KeyboardInterrupt:
        say("interrupted; the next start takes it up again.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
