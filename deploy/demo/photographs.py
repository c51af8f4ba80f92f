"""Folders of photographs, one sub-folder per class, read into arrays.

`read_pixels` is the whole preprocessing in front of the graph's input `x`, less the division
by 255: RGB, stretched to the input size with Pillow's BILINEAR. It is the preset `zero_one`.
"""

import math
import random
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})

Pixels = npt.NDArray[np.uint8]
Classes = npt.NDArray[np.int64]


class PhotographsError(Exception):
    """The folder given does not hold photographs to learn from, one sub-folder per class."""


@dataclass(frozen=True, kw_only=True)
class Photograph:
    """One file that may be a photograph, and the class that its folder says it is of."""

    path: Path
    #: position of its folder's name among the sorted names
    label: int


@dataclass(frozen=True, kw_only=True)
class Photographs:
    """Photographs decoded and stretched to one size, all in memory."""

    #: uint8 [N, side, side, 3], RGB
    pixels: Pixels
    #: int64 [N], a position among the sorted class names
    labels: Classes
    #: files that could not be decoded and were left out
    unreadable: int

    def __len__(self) -> int:
        return len(self.labels)


def find_photographs(folder: Path) -> tuple[list[str], list[Photograph]]:
    """Class names in sorted order, and the files of each class, sub-folders included.

    Raises PhotographsError for a folder that is missing, has fewer than two classes, or has a
    class without image files.
    """
    if not folder.is_dir():
        raise PhotographsError(f"{folder} is not a folder.")
    names = sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".")
    )
    if len(names) < 2:
        raise PhotographsError(
            f"{folder} needs at least two sub-folders, one for each class; it has {len(names)}."
        )
    photographs = []
    for label, name in enumerate(names):
        paths = sorted(
            path
            for path in (folder / name).rglob("*")
            if path.is_file() and path.suffix.lower() in SUFFIXES
        )
        if not paths:
            raise PhotographsError(f"The class '{name}' in {folder} has no readable image.")
        photographs += [Photograph(path=path, label=label) for path in paths]
    return names, photographs


def hold_out(
    photographs: Sequence[Photograph], fraction: float, seed: int
) -> tuple[list[Photograph], list[Photograph]]:
    """Split into (to train on, held out), the same fraction of every class.

    A class keeps at least one photograph to train on; with a fraction of 0 none is held out.
    """
    shuffler = random.Random(seed)  # noqa: S311 - the same split for the same seed, no secret
    kept: list[Photograph] = []
    held_out: list[Photograph] = []
    for label in sorted({photograph.label for photograph in photographs}):
        of_class = [photograph for photograph in photographs if photograph.label == label]
        shuffler.shuffle(of_class)
        count = min(math.ceil(len(of_class) * fraction), len(of_class) - 1)
        held_out += of_class[:count]
        kept += of_class[count:]
    return kept, held_out


def read_pixels(path: Path, side: int) -> Pixels | None:
    """One photograph as uint8 [side, side, 3], upright and RGB; None if it cannot be decoded."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of a bomb from 89 megapixels on; no photograph to learn from is one.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                upright: Image.Image = ImageOps.exif_transpose(image)
                if upright.mode.startswith("I"):  # 16-bit gray, which convert() would clip
                    gray = np.asarray(upright, dtype=np.float64) / 257.0
                    upright = Image.fromarray(np.clip(gray, 0, 255).astype(np.uint8))
                if upright.mode == "P":  # its transparent colour may be one that RGB cannot keep
                    upright = upright.convert("RGBA")
                stretched = upright.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    except Image.DecompressionBombWarning:
        return None
    return np.asarray(stretched, dtype=np.uint8)


def read_photographs(photographs: Sequence[Photograph], side: int) -> Photographs:
    """Decode them all to `side` x `side`; unreadable files are left out and counted."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        decoded = list(pool.map(lambda photograph: read_pixels(photograph.path, side), photographs))
    readable = [
        (pixels, photograph.label)
        for pixels, photograph in zip(decoded, photographs, strict=True)
        if pixels is not None
    ]
    return Photographs(
        pixels=np.array([pixels for pixels, _ in readable], dtype=np.uint8).reshape(
            -1, side, side, 3
        ),
        labels=np.array([label for _, label in readable], dtype=np.int64),
        unreadable=len(photographs) - len(readable),
    )


def require_every_class(photographs: Photographs, names: Sequence[str]) -> None:
    """Raise PhotographsError if there is a class of which no photograph could be read."""
    for label, name in enumerate(names):
        if not np.any(photographs.labels == label):
            raise PhotographsError(f"The class '{name}' has no readable image.")
