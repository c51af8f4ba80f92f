"""Sample images for verification: made up, always the same, prepared as serving prepares them."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from worker.images.preprocess import prepare
from worker.models.preprocessing import Preprocessing

COUNT = 8
_SEED = 20_240_229
_COARSEST = 3  # pixels per side of the coarsest pattern


def sample_inputs(preprocessing: Preprocessing, dtype: npt.DTypeLike) -> npt.NDArray[np.generic]:
    """Return `COUNT` prepared inputs (images, ...) of `dtype`.

    Each is a random pattern, from coarse patches to noise per pixel, darker or brighter: noise
    alone looks the same to most networks, and all samples would get the same answer.
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
    return np.stack(rows)
