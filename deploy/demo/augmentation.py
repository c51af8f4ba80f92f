"""What a training batch goes through before it is fed: never part of the graph.

Every photograph is flipped, turned, zoomed, stretched, shifted and given another light, so that
it is never the same twice in what does not tell its class.
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from PIL import Image

from deploy.demo.photographs import Photographs, Pixels

Floats = npt.NDArray[np.float32]

# Photographs to train on are kept this much larger than the network's input, so that zooming
# in still shows detail.
MARGIN = 4 / 3
# Side of the part that is shown, as a share of the photograph's side.
ZOOM = (0.75, 1.05)
# Width over height of that part, at most this or one over it.
STRETCH = 1.2
# Degrees, to either side.
TURN = 8.0
# Factors of brightness, contrast and saturation lie between 1 - LIGHT and 1 + LIGHT.
LIGHT = 0.2
# Share of certainty that a label gives away to all classes alike.
SMOOTHING = 0.05


def reframe(pixels: Pixels, side: int, random: np.random.Generator) -> Pixels:
    """Flip, turn, zoom, stretch and shift one photograph.

    uint8 [S, S, 3] of any S to uint8 [side, side, 3]; one bilinear sampling does it all.
    """
    source = pixels.shape[0]
    zoom = random.uniform(*ZOOM)
    stretch = math.exp(random.uniform(-1, 1) * math.log(STRETCH) / 2)
    across, down = zoom * stretch * source / side, zoom / stretch * source / side
    if random.random() < 0.5:
        across = -across
    turn = math.radians(random.uniform(-TURN, TURN))
    a, b = across * math.cos(turn), -down * math.sin(turn)
    d, e = across * math.sin(turn), down * math.cos(turn)
    reach = max(0.03, (1 - zoom) / 2) * source  # so far may the centre move
    middle_x, middle_y = source / 2 + random.uniform(-reach, reach, size=2)
    c = middle_x - (a + b) * side / 2
    f = middle_y - (d + e) * side / 2
    framed = Image.fromarray(pixels).transform(
        (side, side), Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR
    )
    return np.asarray(framed)


def relight(batch: Floats, random: np.random.Generator) -> Floats:
    """Other brightness, contrast and saturation for each of float32 [N, H, W, 3] in [0, 1]."""
    brightness, contrast, saturation = random.uniform(
        1 - LIGHT, 1 + LIGHT, size=(3, len(batch), 1, 1, 1)
    ).astype(np.float32)
    gray = batch.mean(axis=3, keepdims=True)
    coloured = gray + (batch - gray) * saturation
    middle = gray.mean(axis=(1, 2), keepdims=True)
    lit: Floats = np.clip((middle + (coloured - middle) * contrast) * brightness, 0.0, 1.0)
    return lit


def training_batches(
    photographs: Photographs, classes: int, side: int, batch: int, random: np.random.Generator
) -> Iterator[tuple[Floats, Floats]]:
    """One epoch in a new order: (x float32 [B, side, side, 3], y_true float32 [B, classes]).

    Batches are full ones, unless there are fewer photographs than one takes; the next one is
    made in a thread while the caller trains on the last.
    """
    targets = np.eye(classes, dtype=np.float32) * (1 - SMOOTHING) + SMOOTHING / classes
    order = random.permutation(len(photographs))
    steps = max(1, len(order) // batch)

    def prepare(step: int) -> tuple[Floats, Floats]:
        chosen = order[step * batch : (step + 1) * batch]
        framed = [reframe(photographs.pixels[index], side, random) for index in chosen]
        images = relight(np.stack(framed).astype(np.float32) / np.float32(255), random)
        return images, targets[photographs.labels[chosen]]

    with ThreadPoolExecutor(max_workers=1) as pool:
        following = pool.submit(prepare, 0)
        for step in range(steps):
            ready = following.result()
            if step + 1 < steps:
                following = pool.submit(prepare, step + 1)
            yield ready
