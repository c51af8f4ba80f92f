"""Pictures of examples at the network's size, from which each candidate's input is made.

A picture is decoded once for each way of resizing; values and colours are calculated from what that
gave, as serving calculates them.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from worker.errors import ImageError
from worker.images.decode import Limits, decode
from worker.images.examples import Example
from worker.images.preprocess import prepare
from worker.models.preprocessing import Preprocessing
from worker.printable import printable

_KEPT_BYTES = 256 << 20  # of decoded pictures, so that few are decoded again

Pixels = npt.NDArray[np.uint8]


class Pictures:
    """The pictures of examples; those that cannot be read are left out, and told."""

    def __init__(self, examples: Sequence[Example], limits: Limits) -> None:
        self._limits = limits
        self._decoded: dict[int, Image.Image] = {}
        self._kept = 0
        self.examples: list[Example] = []
        self.unreadable: list[str] = []  # sentences
        for example in examples:
            self._take(example)

    def resized(self, way: Preprocessing) -> Pixels:
        """Return all pictures at the size of the network, (pictures, height, width[, 3])."""
        plain = Preprocessing(
            **way.model_dump(include={"size", "resize", "filter"}),
            color="gray" if way.channels == 1 else "rgb",
            layout="HW" if way.channels == 1 else "NHWC",
            scale=1.0,
        )
        rows = [prepare(self._image(place), plain, np.uint8) for place in range(len(self))]
        return np.stack(rows).astype(np.uint8, copy=False)

    def __len__(self) -> int:
        return len(self.examples)

    def _take(self, example: Example) -> None:
        try:
            image = self._read(example)
        except (ImageError, OSError) as error:
            why = error.message if isinstance(error, ImageError) else f"{error.strerror}."
            self.unreadable.append(f"'{printable(example.path.name)[:80]}': {why}")
            return
        self._keep(len(self.examples), image)
        self.examples.append(example)

    def _read(self, example: Example) -> Image.Image:
        return decode(example.path.read_bytes(), self._limits)

    def _image(self, place: int) -> Image.Image:
        kept = self._decoded.get(place)
        return kept if kept is not None else self._read(self.examples[place])

    def _keep(self, place: int, image: Image.Image) -> None:
        size = image.width * image.height * len(image.getbands())
        if self._kept + size <= _KEPT_BYTES:
            self._decoded[place] = image
            self._kept += size


def inputs_of(
    pixels: Pixels, preprocessing: Preprocessing, dtype: npt.DTypeLike
) -> npt.NDArray[np.generic]:
    """Return inputs (pictures, ...) made of pictures that have the network's size already."""
    return np.stack([prepare(Image.fromarray(one), preprocessing, dtype) for one in pixels])
