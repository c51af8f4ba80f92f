"""The photographs of a run: a folder of one's own, those of the fixtures, or made ones."""

import io
import os
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

KINDS = {".jpg", ".jpeg", ".png"}
MOST = 128  # that are used; more would only take longer to compare
_MADE = 64
_SIDES = (500, 375)  # as the tutorial's photographs mostly have


def find(given: Path | None, scratch: Path) -> tuple[list[Path], str]:
    """Return the photographs and, in words, where they come from.

    Raises `SystemExit` where the folder that was given holds none.
    """
    fixtures = os.environ.get("PERMAFROST_FIXTURES")
    if given is not None:
        found = _in_folder(given)
        if not found:
            raise SystemExit(f"{given} holds no JPEG or PNG files.")
        return found, f"{len(found)} photographs of {given}"
    if fixtures:
        found = _in_folder(Path(fixtures).resolve() / "tutorial-dogs-cats" / "images")
        return found, f"{len(found)} of the tutorial's photographs"
    found = [_made(number, scratch) for number in range(_MADE)]
    return found, (
        f"{len(found)} pictures that were made, because PERMAFROST_FIXTURES is not set and no "
        "--photographs were given"
    )


def _in_folder(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in KINDS)
    step = max(1, len(found) // MOST)  # from all over the folder
    return found[::step][:MOST]


def _made(number: int, scratch: Path) -> Path:
    """Write a picture of blurred shapes and grain, about as large as a photograph's JPEG."""
    chance = random.Random(number)
    colours = [tuple(chance.randrange(256) for _ in range(3)) for _ in range(24)]
    image = Image.new("RGB", _SIDES, colours[0])
    draw = ImageDraw.Draw(image)
    for colour in colours[1:]:
        left, top = chance.randrange(_SIDES[0]), chance.randrange(_SIDES[1])
        box = (left, top, left + chance.randrange(20, 250), top + chance.randrange(20, 250))
        (draw.ellipse if chance.random() < 0.5 else draw.rectangle)(box, fill=colour)
    grain = Image.effect_noise(_SIDES, 60).convert("RGB")
    image = Image.blend(image.filter(ImageFilter.GaussianBlur(2)), grain, 0.15)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    path = scratch / f"made-{number:03}.jpg"
    path.write_bytes(buffer.getvalue())
    return path
