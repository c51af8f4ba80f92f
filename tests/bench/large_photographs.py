"""Makes JPEGs as telephones write them, of twelve megapixels, from smaller photographs."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIDES = (4032, 3024)  # of most telephones' pictures
NOISE = 3.0  # of a sensor, in values of 255: without it the files would be too small
ORIENTATION = 0x0112  # the EXIF tag
ON_ITS_SIDE = 6
_LARGE = 8_000_000  # pixels from which on a given photograph is taken as it is


@dataclass(frozen=True)
class Camera:
    """One way of writing a JPEG."""

    name: str
    options: dict[str, Any]
    orientation: int = 1


CAMERAS = (
    Camera("4:2:0, quality 85", {"quality": 85}),
    Camera("4:2:0, quality 92", {"quality": 92}),
    Camera("4:2:0, quality 92, on its side", {"quality": 92}, ON_ITS_SIDE),
    Camera("4:4:4, quality 90", {"quality": 90, "subsampling": 0}),
)


@dataclass(frozen=True)
class Photograph:
    """One file."""

    kind: str
    content: bytes


def photographs(sources: list[Path], count: int) -> Iterator[Photograph]:
    """Give `count` large JPEGs of the sources, in turns by each camera; of none, drawn ones.

    A source that is a large JPEG already is given as it is.
    """
    for number in range(count):
        camera = CAMERAS[number % len(CAMERAS)]
        if not sources:
            yield Photograph(camera.name, _taken(_drawn(number), camera, number))
            continue
        content = sources[number % len(sources)].read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            if image.format in ("JPEG", "MPO") and image.width * image.height >= _LARGE:
                yield Photograph("as given", content)
            else:
                yield Photograph(camera.name, _taken(image.convert("RGB"), camera, number))


def _taken(image: Image.Image, camera: Camera, seed: int) -> bytes:
    """Return the file that a camera writes of what it sees."""
    if camera.orientation == ON_ITS_SIDE:
        image = image.transpose(Image.Transpose.ROTATE_90)
    large = image.resize(SIDES, Image.Resampling.BICUBIC)
    noise = np.random.default_rng(seed).normal(0, NOISE, (*SIDES[::-1], 1))
    pixels = np.clip(np.asarray(large) + noise, 0, 255).astype(np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION] = camera.orientation
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", exif=exif, **camera.options)
    return buffer.getvalue()


def _drawn(seed: int) -> Image.Image:
    """Return soft patches with finer ones on them."""
    random = np.random.default_rng(seed)
    layers = [
        Image.fromarray(random.integers(0, 256, (side * 3, side * 4, 3), np.uint8)).resize(
            (800, 600), Image.Resampling.BICUBIC
        )
        for side in (2, 40)
    ]
    return Image.blend(layers[0], layers[1], 0.3)
