"""Listing a folder without the files that macOS and Windows add."""

from pathlib import Path

_APPLE_DOUBLE = "._"  # macOS keeps attributes of `x` in `._x` on disks that have no room for them
_LEFT_OUT = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})


def is_left_out(name: str) -> bool:
    """Whether a file or folder of this name was added by an operating system."""
    return name.startswith(_APPLE_DOUBLE) or name in _LEFT_OUT


def files_in(folder: Path) -> list[Path]:
    """Return the files in the folder by name; none where it is no folder or cannot be read."""
    return [entry for entry in entries_in(folder) if entry.is_file()]


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in the folder by name, without hidden ones."""
    found = [entry for entry in entries_in(folder) if entry.is_dir()]
    return [entry for entry in found if not entry.name.startswith(".")]


def entries_in(folder: Path) -> list[Path]:
    """Return what lies in the folder by name; nothing where it is none or cannot be read."""
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return []
    return [entry for entry in found if not is_left_out(entry.name)]
