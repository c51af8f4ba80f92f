"""docs/preprocessing.md: what it says to type is what the program takes."""

import re
import shlex
from typing import get_args

from api.cli.freeze_options import read_preprocessing
from tests.support.system import ROOT
from worker.models.preprocessing import PRESETS, Filter, PreprocessingSpec

PAGE = (ROOT / "docs" / "preprocessing.md").read_text()
FILTERS = (ROOT / "docs" / "images.md").read_text()


def test_every_preprocessing_of_the_page_can_be_typed() -> None:
    typed = re.findall(r"`('\{[^`]*\}')`", PAGE) + re.findall(
        r"--preprocessing (\S+|'[^']*')$", PAGE
    )
    assert len(typed) > 10
    for text in typed:
        (word,) = shlex.split(text)
        PreprocessingSpec.parse(read_preprocessing(word))


def test_every_preset_field_and_filter_is_on_a_page() -> None:
    for name in (*PRESETS, *PreprocessingSpec.model_fields):
        assert f"`{name}`" in PAGE or name == "preset", name
    for name in get_args(Filter):
        assert f"`{name}`" in FILTERS, name
