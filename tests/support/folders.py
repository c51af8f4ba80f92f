"""Folders of numbered pictures, with how each must end."""

from pathlib import Path

from tests.support.answers import Answer, answer_for, picture


def fill(folder: Path, images: int, *, side: int = 500) -> dict[str, Answer]:
    """Write pictures into a new folder and return the answers by path.

    Pictures of 500 pixels take a worker a few milliseconds each, so that faults meet a batch that
    runs.
    """
    folder.mkdir(parents=True)
    answers = {}
    for number in range(images):
        name = f"{number:07}.jpg"
        (folder / name).write_bytes(picture(number, side=side))
        answers[name] = answer_for(number)
    return answers
