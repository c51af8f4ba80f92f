"""Publishes the tutorial's network for a benchmark, in a process of its own."""

import subprocess
import sys
from pathlib import Path

from tests.support.system import ROOT, clean_environment


def publish_tutorial(tutorial: Path, data: Path) -> None:
    """Publish the tutorial's checkpoint as `dogs-cats` in a data folder.

    This process has no use for TensorFlow, which would take part in what is measured.
    """
    checkpoint = tutorial / "checkpoint" / "dogs-cats-model"
    subprocess.run(
        [sys.executable, "-m", "tests.bench.tutorial_model", str(checkpoint), str(data)],
        cwd=ROOT,
        env=clean_environment(TF_CPP_MIN_LOG_LEVEL="3"),
        stderr=subprocess.DEVNULL,
        check=True,
    )
