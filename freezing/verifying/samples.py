"""Sample images for verification, prepared as serving prepares them.

Some are made up, always the same ones; others may come with the job.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from worker.errors import FreezeError, ImageError
from worker.images.decode import Limits, decode
from worker.images.preprocess import prepare
from worker.models.preprocessing import Preprocessing

COUNT = 8
_SEED = 20_240_229
_COARSEST = 3  # pixels per side of the coarsest pattern


class SampleError(FreezeError):
    """A sample image cannot be read."""

    code = "bad_sample"


def sample_inputs(
    preprocessing: Preprocessing,
    dtype: npt.DTypeLike,
    images: Sequence[Path] = (),
    *,
    most_pixels: int = 0,
) -> npt.NDArray[np.generic]:
    """Return `COUNT` made up inputs (images, ...) of `dtype`, and then the given images.

    Raises `SampleError` where an image cannot be read or has more than `most_pixels`.

    Each of those made up is a random pattern, from coarse patches to noise per pixel, darker or
    brighter: noise alone looks the same to most networks, and all samples would get the same
    answer.
    """
    random = np.random.default_rng(_SEED)
    height, width = preprocessing.size
    rows = []
    for number in range(COUNT):
        side = min(_COARSEST * 2**number, max(height, width))
        low, high = np.sort(random.integers(0, 256, size=(2, 3)), axis=0)
        cells = random.integers(low, high + 1, size=(side, side, 3)).astype(np.uint8)
        image = Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)
        rows.append(prepare(image, preprocessing, dtype))
    rows += [prepare(_read(path, most_pixels), preprocessing, dtype) for path in images]
    return np.stack(rows)


def _read(path: Path, most_pixels: int) -> Image.Image:
    try:
        return decode(path.read_bytes(), Limits(pixels=most_pixels))
    except ImageError as error:
        raise SampleError(f"The sample '{path.name}' cannot be used: {error.message}") from error
    except OSError as error:
        raise SampleError(f"The sample '{path.name}' cannot be read: {error.strerror}.") from error
