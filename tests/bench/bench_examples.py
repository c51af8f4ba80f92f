"""How often examples give the author's way of preparing images: one for each class, and ten.

    PERMAFROST_FIXTURES=... python -m tests.bench.bench_examples [--draws 3] [NAME...]

Models of the fixtures and cases, of each of which is known how its author feeds it. Photographs get
the label that the source itself gives them, prepared as its author does; of these as many as asked
for are drawn for each class, and handed to what a freeze decides with. Nothing else is told: the
prior is what a freeze guesses where nobody says anything.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import tensorflow as tf

from freezing.choosing.plan import Plan, make_plan
from freezing.choosing.preprocessing.clues import look
from freezing.choosing.preprocessing.deciding import decide
from freezing.choosing.preprocessing_guess import Guess
from freezing.choosing.usage import Prepared, choose_preprocessing
from freezing.converting.freeze import freeze
from freezing.graph.content import Contents
from freezing.graph.flow import Flow
from freezing.graph.graph import Endpoint
from freezing.proving.grid import PreprocessingCandidate, candidate_of
from freezing.proving.proof import prior_of
from freezing.proving.prove import Decision, Prover
from freezing.proving.scoring import Scoring
from freezing.sources.opening import open_source
from freezing.verifying.answers import fitted
from freezing.verifying.range_probe import answered
from freezing.verifying.sessions import Original
from worker.contract.source_requests import FreezeRequest
from worker.errors import FreezeError
from worker.images.decode import Limits
from worker.images.examples import Example
from worker.models.preprocessing import PreprocessingSpec, resolve_preprocessing
from worker.sources.choice import SourceChoice

_SURE = 0.6  # share of a score that a photograph needs to be an example of its class
_POOL = 200  # photographs
_SEED = 20_261_130


@dataclass(frozen=True, kw_only=True)
class Known:
    """A model of which it is known how its author prepares images."""

    name: str
    source: Path
    author: dict[str, Any]
    asked: dict[str, Any] = field(default_factory=dict)  # beside the name


def known_models(fixtures: Path) -> Iterator[Known]:
    """Give the models of the cases, as their `expected.json` describes them, and the fixtures."""
    cases = fixtures.parent / "cases" / "models"
    for name, case in json.loads((cases / "expected.json").read_text()).items():
        if case["should"] == "serve":
            asked = {key: case[key] for key in ("inputs", "outputs", "set") if case.get(key)}
            author = {key: value for key, value in case["author"].items() if key != "note"}
            yield Known(name=name, source=cases / name / "input", author=author, asked=asked)
    models = fixtures / "models"
    yield Known(
        name="tutorial",
        source=fixtures / "tutorial-dogs-cats" / "checkpoint",
        author={"preset": "zero_one", "color": "bgr"},
        asked={"outputs": ["y_pred"]},
    )
    yield Known(
        name="gender",
        source=models / "gender-keras2-h5" / "gender_mini_XCEPTION.21-0.95.hdf5",
        author={"preset": "minus_one_one"},
    )
    yield Known(
        name="mobilenet",
        source=models / "mobilenet-frozen-batch1" / "retrained_graph.pb",
        author={"preset": "minus_one_one", "color": "rgb"},
    )
    yield Known(
        name="cats-dogs",
        source=Path(__file__).parents[2] / "deploy" / "demo" / "checkpoint",
        author={"preset": "zero_one"},
        asked={"set": {"is_training": False, "keep_prob": 1.0}},
    )


def main() -> None:
    """Print a row for each model, and the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only these models")
    parser.add_argument("--draws", type=int, default=3, help="how often examples are drawn")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    fixtures = Path(os.environ["PERMAFROST_FIXTURES"])
    rows: list[Try] = []
    print(
        f"{'model':24} {'classes':>9}  {'nothing said':12} {'one each':20} {'ten each':20} "
        "as the author does"
    )
    with tempfile.TemporaryDirectory() as folder:
        pool = _photographs(fixtures, Path(folder))
        for known in known_models(fixtures):
            if options.names and known.name not in options.names:
                continue
            try:
                tries = _tried(known, pool, options.draws, verbose=options.verbose)
            except FreezeError as error:
                print(f"{known.name:24} {error.message[:100]}")
                continue
            rows += tries
            alone = "right" if tries[0].right_alone else "wrong"
            cells = [_cell([one for one in tries if one.count == count]) for count in (1, 10)]
            print(
                f"{known.name:24} {tries[0].classes:>9}  {alone:12} {cells[0]:20} {cells[1]:20} "
                f"{tries[0].author}",
                flush=True,
            )
    for count in (1, 10):
        tries = [one for one in rows if one.count == count]
        right = sum(one.right for one in tries)
        wrongly = sum(one.proven and not one.right for one in tries)
        print(
            f"{count} each: the author's way in {right} of {len(tries)} "
            f"({right / max(1, len(tries)):.0%}), "
            f"{sum(one.proven for one in tries)} called proven, {wrongly} of these wrongly"
        )


def _cell(tries: list["Try"]) -> str:
    right, proven = sum(one.right for one in tries), sum(one.proven for one in tries)
    return f"{right} of {len(tries)}, {proven} proven"


def _photographs(fixtures: Path, folder: Path) -> list[Path]:
    """Return photographs, and some with their colours turned, which are of other classes."""
    found = sorted((fixtures / "cats-dogs-200px" / "test").rglob("*.jpg"))
    found += sorted((fixtures / "tutorial-dogs-cats" / "images").rglob("*.jpg"))
    found += sorted((fixtures.parent / "cases" / "models").glob("*/pictures/*.png"))
    order = np.random.default_rng(_SEED).permutation(len(found))
    chosen = [found[place] for place in order[:_POOL]]
    for number, path in enumerate(chosen[_POOL // 2 :]):
        turned = folder / f"{number}.png"
        image = Image.open(path).convert("RGB")
        (ImageOps.invert(image) if number % 2 else ImageOps.solarize(image)).save(turned)
        chosen[_POOL // 2 + number] = turned
    return chosen


@dataclass(frozen=True, kw_only=True)
class Try:
    """What came of one draw of examples."""

    count: int  # for each class
    right: bool  # whether the author's way was taken
    proven: bool
    right_alone: bool  # whether it is taken with nothing said
    classes: str  # of which there are examples, and of all
    author: str


def _tried(known: Known, pool: list[Path], draws: int, *, verbose: bool) -> list[Try]:
    opened = open_source(known.source, SourceChoice())
    request = FreezeRequest.parse({"name": "model", **known.asked})
    plan = make_plan(opened, request)
    author = resolve_preprocessing(
        PreprocessingSpec.parse(known.author), plan.input.shape, plan.input.dtype
    )
    frozen = freeze(plan, opened.values).graph
    dtype = tf.as_dtype(plan.input.dtype).as_numpy_dtype
    truth = candidate_of(author)
    with Original(plan, opened.values) as session:
        answer = Contents(Flow(frozen)).trace(Endpoint.parse(plan.outputs[0].name))
        run = fitted(session.run, plan.input)
        scoring = Scoring(run, plan, request.scores, answer)
        findings = look(frozen, plan.input, plan.outputs[0])
        prepared = _prepared(plan, decide(findings))
        made_up = answered(run, plan, prepared.preprocessing, findings.final_op)
        prepared = _prepared(plan, decide(findings, made_up))
        base = prepared.preprocessing.model_copy(update={"size": author.size})
        unnamed = [Example(path=path, label="") for path in pool]
        everything = Prover(unnamed, author, dtype, Limits())
        scores = scoring(everything.inputs(author))
        shares = scores / scores.sum(axis=1, keepdims=True)
        sure = [
            np.flatnonzero((shares.argmax(axis=1) == label) & (shares.max(axis=1) >= _SURE))
            for label in range(shares.shape[1])
        ]
        paths = [example.path for example in everything.pictures.examples]
        shown = sum(len(places) > 0 for places in sure)
        if shown < 2:
            raise FreezeError("answers all photographs with one class, so that they say nothing")
        rows = []
        random = np.random.default_rng(_SEED)
        for count, _ in product((1, 10), range(draws)):
            examples = [
                Example(path=paths[place], label=str(label))
                for label, places in enumerate(sure)
                for place in random.permutation(places)[:count]
            ]
            made = Prover(examples, base, dtype, Limits()).decide(
                scoring,
                labels=list(map(str, range(shares.shape[1]))),
                held=frozenset({"resize", "filter"}),
                prior=prior_of(base, prepared.basis),
            )
            rows.append(
                Try(
                    count=count,
                    right=_is(made.taken.candidate, truth),
                    proven=made.verdict.is_clear,
                    right_alone=_is(candidate_of(base), truth),
                    classes=f"{shown} of {shares.shape[1]}",
                    author=truth.called,
                )
            )
            if verbose:
                _show(made, truth)
    return rows


def _prepared(plan: Plan, guess: Guess) -> Prepared:
    """Return how images are prepared where nobody says anything."""
    found = choose_preprocessing(PreprocessingSpec(), plan, guess, [])
    if found is None:
        raise FreezeError("takes no images")
    return found


def _is(one: PreprocessingCandidate, truth: PreprocessingCandidate) -> bool:
    return one.preprocessing == truth.preprocessing or one.is_alike(truth)


def _show(made: Decision, truth: PreprocessingCandidate) -> None:
    for trial in made.values:
        mark = "*" if trial is made.taken else "-" if _is(trial.candidate, truth) else " "
        found = trial.score
        print(
            f"    {mark} {trial.candidate.called:80} {found.right:3} of {len(made.classes):3} "
            f"{found.log_likelihood:8.2f} {found.evidence:8.2f}"
        )


if __name__ == "__main__":
    main()
