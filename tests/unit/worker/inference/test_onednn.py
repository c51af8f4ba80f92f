"""Where TensorFlow is told to use oneDNN."""

from pathlib import Path

import pytest

from worker.inference.onednn import VARIABLE, switch_on

ZEN3 = "processor\t: 0\nflags\t\t: fpu sse4_2 avx f16c avx2 sha_ni\n\nprocessor\t: 1\n"
SANDY_BRIDGE = "processor\t: 0\nflags\t\t: fpu sse4_2 avx\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd sve avx2-not-a-flag\n"


def _switched(folder: Path, cpuinfo: str | None, **environment: str) -> dict[str, str]:
    file = folder / "cpuinfo"
    if cpuinfo is not None:
        file.write_text(cpuinfo, encoding="ascii")
    switch_on(environment, file)
    return environment


def test_a_processor_with_avx2_uses_it(tmp_path: Path) -> None:
    assert _switched(tmp_path, ZEN3) == {VARIABLE: "1"}


@pytest.mark.parametrize("cpuinfo", [SANDY_BRIDGE, ARM, "", None])
def test_elsewhere_tensorflow_decides(tmp_path: Path, cpuinfo: str | None) -> None:
    assert _switched(tmp_path, cpuinfo) == {}


@pytest.mark.parametrize("chosen", ["0", "1", ""])
def test_what_a_person_decided_stays(tmp_path: Path, chosen: str) -> None:
    assert _switched(tmp_path, ZEN3, **{VARIABLE: chosen}) == {VARIABLE: chosen}
