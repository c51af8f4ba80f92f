"""Whether numbers of an output are scores of classes, as far as they can be told from others.

Coordinates, ages, features and embeddings have the shape of scores too. What tells them apart is
how the network computes them, which loss it was trained with, and what its author called them.
"""

import re
from typing import Any

from freezing.graph.content import SQUASHED, Content, Trace
from freezing.sources.source import Loss

# What networks that give no classes are called, or their last layers.
_OTHER_NAME = re.compile(
    r"(\A|_)(b?box(es)?|bounding_?box(es)?|(face_?|facial_?)?landmarks?|(face_?|facial_?)?key_?points?"
    r"|pose|coord(inate)?s?|ages?|depth|masks?|embeddings?|features?|heat_?maps?|regress\w*|steering"
    r"|angles?|offsets?|bottlenecks?|joints?|gaze|anchors?)(_|\d|\Z)",
    re.IGNORECASE,
)


def why_no_row(sides: tuple[int, ...], content: Content, *, is_said: bool) -> str | None:
    """Return why an answer of these sides per image is no row of numbers; None where it is one.

    Sides of 1 in front of the classes do not matter. One number after the other, each in a row of
    its own, is a sequence, unless it `is_said` that it holds classes.
    """
    if content is Content.DETECTIONS:
        return "it lists what non-maximum suppression found in an image: boxes, not classes"
    wide = [side for side in sides if side != 1]
    is_sequence = len(sides) == 2 and sides[0] > 1 and not is_said
    if len(wide) <= 1 and not is_sequence and 0 not in sides:
        return None
    shown = "x".join(str(side) for side in sides)
    if len(sides) <= 2:
        return f"it has {shown} numbers per image: a sequence, or a list of boxes or points"
    return f"it has {shown} numbers per image: a map, such as a mask or an image"


def why_no_classes(
    trace: Trace, columns: int, loss: Loss | None, names: tuple[str, ...]
) -> str | None:
    """Return why a row of numbers is hardly one of scores; None where it may be.

    `names` are those of the output, and what it is made of is in `trace`.
    """
    content = trace.content
    is_number = content not in SQUASHED or (content is Content.SIGMOID and columns > 1)
    called = next((name for name in (*names, *trace.sources) if _tells(name)), None)
    why = None
    if content is Content.UNIT:
        why = "each row is scaled to length 1: an embedding, to be compared with others"
    elif loss is not None and loss.of_numbers and is_number:
        why = f"the model was trained with {loss.name}, as for numbers and not for classes"
    elif content in SQUASHED or (loss is not None and loss.of_classes):
        pass
    elif called is not None:
        why = f"it comes from '{called}', which is no name for classes"
    elif content is Content.ACTIVATION:
        why = "it holds what an activation lets through: features, not what is made of them"
    elif columns == 1:
        why = (
            "one number per image that nothing squashes can be an age or a price as well as the "
            "score of a class"
        )
    return why


def _tells(name: str) -> Any:
    parts = name.partition(":")[0].split("/")[-2:]
    return any(_OTHER_NAME.search(part) for part in parts)
