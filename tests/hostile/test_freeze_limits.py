"""Freezes of models that loop or swell: they end soon, with a sentence, and publish nothing.

Real freezes, in confined child processes and with short limits, of graphs built here and of those
among the shared cases.
"""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from freezing.process import freeze
from tests.support import bright_model, greedy_models
from worker.contract.source_requests import FreezeRequest
from worker.errors import FreezeError
from worker.jobs.log_lines import LogLine
from worker.models.manifest import Manifest, ModelRef
from worker.models.registry import Registry
from worker.settings import Settings

MIB = 2**20
TIME_S, RUN_MIB, FREEZE_MIB = 3.0, 256, 2048
ENDED_S = 60.0  # in which a freeze must end on a machine that has much else to do
_VERIFY, _LOAD = "3 s (PERMAFROST_VERIFY_TIME_LIMIT_S)", "2 s (PERMAFROST_LOAD_TIME_LIMIT_S)"
_RUN, _FREEZE = "(PERMAFROST_RUN_MEMORY_BYTES)", "(PERMAFROST_FREEZE_MEMORY_BYTES)"
_SOURCE = "Running the source on made up pictures"

# Settings that differ: to fill memory takes its time, and workers' own limit counts if shorter.
_SLOWLY = {"verify_time_limit_s": 60.0}
_LOADING = {**_SLOWLY, "load_time_limit_s": 2.0}
SETTINGS = {
    "loops_on_white": _LOADING,
    "swells": _SLOWLY,
    "swells_in_a_loop": _SLOWLY,
    "swells_when_loaded": _SLOWLY,
}
# The code, how the sentence begins, and the limit that it must name.
REFUSED: dict[str, tuple[str, str, str]] = {
    "loops": ("timed_out", _SOURCE, _VERIFY),
    "loops_on_black": ("timed_out", "Running an input of zeros", _VERIFY),
    "loops_on_white": ("timed_out", "Running a white picture", _LOAD),
    "swells": ("out_of_memory", "Running an input of zeros", _RUN),
    # At the end of its memory it gets an error or crashes, as it happens.
    "swells_in_a_loop": ("out_of_memory", "", _FREEZE),
    "swells_when_loaded": ("out_of_memory", _SOURCE, _FREEZE),
}
# The shared case that is of the same kind, where there is one.
SHARED = {
    "loops": "loop_forever",
    "loops_on_black": "loop_on_black",
    "swells_when_loaded": "fill_2e40",
}
# What is not built here, because nothing of today builds it: its shapes do not fit.
FROM_OUTSIDE = {"const_2e40": {"out_of_memory", "timed_out", "freeze_failed"}}


def shared(name: str) -> Path | None:
    """Return a shared case's graph; None where there are no cases."""
    fixtures = os.environ.get("PERMAFROST_FIXTURES")
    path = Path(fixtures or ".").parent / "cases" / "hostile" / "graphs" / f"{name}.pb"
    return path if fixtures and path.is_file() else None


class Freezes:
    """Freezes graph files into a registry that serves a good version already."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.registry = Registry(folder / "models")
        self.log: list[str] = []

    def of(self, build: Any, **settings: Any) -> dict[str, Any]:
        """Freeze a graph that is built here."""
        content, _ = bright_model.graph_def(build)
        source = self._folder / "source.pb"
        source.write_bytes(content)
        return self.file(source, outputs=("y0",), **settings)

    def file(
        self, source: Path, *, outputs: tuple[str, ...] = (), **settings: Any
    ) -> dict[str, Any]:
        """Freeze a file as the model `m`."""
        workdir = self._folder / f"work-{time.monotonic_ns()}"
        workdir.mkdir()
        return freeze(
            FreezeRequest.parse({"name": "m", "scores": "probabilities", "outputs": [*outputs]}),
            source,
            workdir=workdir,
            registry=self.registry,
            job_id=workdir.name,
            settings=Settings(
                **{
                    "data": self._folder,
                    "verify_time_limit_s": TIME_S,
                    "run_memory_bytes": RUN_MIB * MIB,
                    "freeze_memory_bytes": FREEZE_MIB * MIB,
                    **settings,
                }
            ),
            on_log=self._said,
            cancelled=lambda: False,
        )

    def refused(self, source: Any, **settings: Any) -> FreezeError:
        """Return the error with which a freeze ended in time, which moved and left nothing."""
        before = self.served()
        started = time.monotonic()
        with pytest.raises(FreezeError) as refused:
            (self.file if isinstance(source, Path) else self.of)(source, **settings)
        assert time.monotonic() - started < ENDED_S
        assert self.served() == before
        assert [version.version for version in self.registry.readable("m")] == [before.version]
        assert not list((self._folder / "models" / ".staging").glob("*"))
        message = refused.value.message
        assert message.endswith(".")
        assert "Traceback" not in message
        return refused.value

    def served(self) -> Manifest:
        """Return what `stable` means."""
        return self.registry.resolve(ModelRef("m", None, "stable"))

    def _said(self, line: LogLine) -> None:
        self.log.append(str(line))


@pytest.fixture
def freezes(tmp_path: Path) -> Freezes:
    made = Freezes(tmp_path)
    bright_model.publish(made.registry, tmp_path)
    return made


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", REFUSED)
def test_what_loops_or_swells_ends_in_time_and_is_not_published(
    freezes: Freezes, kind: str
) -> None:
    code, begin, limit = REFUSED[kind]
    case = shared(SHARED[kind]) if kind in SHARED else None
    error = freezes.refused(case or getattr(greedy_models, kind), **SETTINGS.get(kind, {}))
    assert error.code == code, error.message
    assert error.message.startswith(begin), error.message
    assert limit in error.message


@pytest.mark.timeout(120)
def test_what_swells_with_its_batch_is_published_to_be_run_with_fewer(freezes: Freezes) -> None:
    result = freezes.of(greedy_models.swells_with_its_batch, **_SLOWLY)
    served = freezes.served()
    assert (result["version"], served.version) == (2, 2)
    assert served.measured is not None
    assert 1 <= served.measured.micro_batch < Settings().micro_batch
    assert any(line.startswith("As it is served, it takes") for line in freezes.log)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", FROM_OUTSIDE)
def test_what_came_from_outside_is_refused(freezes: Freezes, name: str) -> None:
    path = shared(name)
    if path is None:
        pytest.skip("PERMAFROST_FIXTURES is unset or has no cases beside it")
    assert freezes.refused(path).code in FROM_OUTSIDE[name]
