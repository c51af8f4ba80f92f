"""The freeze that an inspection suggests, planned to see what stands in its way."""

import shlex
from dataclasses import dataclass
from typing import Any

from freezing.choosing.chooser import Chooser, clear_outputs
from freezing.choosing.inputs import Inputs
from freezing.choosing.plan import Plan, make_plan
from freezing.choosing.preprocessing.clues import look
from freezing.choosing.preprocessing.deciding import decide
from freezing.choosing.ranking import Outputs, shown
from freezing.choosing.usage import choose_preprocessing
from freezing.converting.variables import variables_needed
from freezing.graph.functions import inline_functions
from freezing.graph.graph import Graph
from freezing.graph.suggestions import as_option, suggestions
from freezing.inspecting.findings import (
    about_dropout,
    finding,
    without_dropout,
)
from freezing.inspecting.prediction import what_remains
from freezing.sources.averages import averages_of
from freezing.sources.source import Source
from worker.contract.source_requests import FreezeRequest, InspectionRequest
from worker.errors import FreezeError
from worker.models.assumptions import aspects, choices
from worker.models.inspection import (
    Advice,
    Finding,
    GuessedPreprocessing,
    Level,
    PreparationChoice,
)
from worker.models.manifest import is_model_name
from worker.models.preprocessing import PreprocessingSpec


@dataclass(frozen=True, kw_only=True)
class Advised:
    """What was suggested, and what came of planning it."""

    shown: Advice
    preprocessing: GuessedPreprocessing
    findings: list[Finding]
    plan: Plan | None
    remaining: Graph | None  # what the plan would leave


class Adviser:
    """Makes up the freeze that is suggested, and plans it to see what stands in its way."""

    def __init__(
        self,
        source: Source,
        request: InspectionRequest,
        chooser: Chooser,
        outputs: Outputs,
        inputs: Inputs,
    ) -> None:
        self._source = source
        self._request = request
        self._chooser = chooser
        self._graph = chooser.graph
        self._outputs = outputs
        self._inputs = inputs
        self._findings: list[Finding] = []

    def advise(self) -> Advised:
        """Return the freeze that is suggested."""
        body = self._body()
        self._refuse_what_is_not_clear()
        plan, remaining = self._plan(body)
        constants = without_dropout(remaining) if remaining is not None else {}
        if constants and all(name in self._graph for name in constants):
            self._findings += about_dropout(constants)
            body["set"] = {**body.get("set", {}), **constants}
            plan, remaining = self._plan(body)
        self._offer_averages(plan, body)
        preprocessing = self._preprocessing(plan, body)
        ready = plan is not None and not any(one.level == "error" for one in self._findings)
        return Advised(
            shown=Advice(ready=ready, body=body, command=self._command(body)),
            preprocessing=preprocessing,
            findings=self._findings,
            plan=plan,
            remaining=remaining,
        )

    def _body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"name": _model_name(self._source.name)}
        for key in ("source", "signature", "checkpoint"):
            if getattr(self._request, key):
                body[key] = getattr(self._request, key)
        best = self._outputs.detections or self._outputs.ranked[:1]
        ends = [one.end for one in best]
        if ends:
            body["outputs"] = [shown(end) for end in ends]
        taken = self._inputs.clear or next(iter(self._inputs.usable), None)
        if taken is not None:
            body["inputs"] = [shown(taken.end)]
            used = self._graph.ancestors([end.node for end in ends])
            values = {
                name: value
                for name, value in suggestions(self._graph, used).items()
                if name in used and name != taken.end.node
            }
            if values:
                body["set"] = values
        return body

    def _refuse_what_is_not_clear(self) -> None:
        ends = [one.end for one in self._outputs.ranked[:1]]
        for refusing, best in (
            (lambda: clear_outputs(self._outputs), self._outputs.best),
            (lambda: self._chooser.clear_input(self._inputs, ends), self._inputs.best),
        ):
            try:
                refusing()
            except FreezeError as error:
                level: Level = "warning" if len(best) > 1 else "error"
                self._findings.append(finding(error.code, level, error.message))

    def _plan(self, body: dict[str, Any]) -> tuple[Plan | None, Graph | None]:
        """Return the plan of a freeze and what it would leave, as far as they can be made."""
        plan = None
        try:
            if "outputs" in body:
                plan = make_plan(self._source, FreezeRequest.parse(body))
                return plan, what_remains(plan)
        except FreezeError as error:
            self._error(error.code, error.message)
        return plan, None

    def _offer_averages(self, plan: Plan | None, body: dict[str, Any]) -> None:
        """Suggest the moving averages of the weights where all weights have one."""
        if plan is None:
            return
        found = averages_of(self._source.values, self._graph, variables_needed(plan.graph))
        if not found.entries:
            return
        taken = not found.without
        if taken:
            body["averages"] = True
        self._findings.append(
            finding(
                "averages",
                "note",
                f"The source keeps moving averages of {found.counted}, with which such models are "
                "usually evaluated: `averages` (--averages) takes them"
                + (", as suggested; without it the last weights are taken." if taken else "."),
                found.entries,
            )
        )

    def _preprocessing(self, plan: Plan | None, body: dict[str, Any]) -> GuessedPreprocessing:
        if plan is None:
            return GuessedPreprocessing(
                fields={}, assumed=[], problem="There is no input to prepare images for."
            )
        # What a SavedModel does lies in functions. What variables hold is not looked at here.
        part = plan.graph.subgraph(plan.graph.nodes)
        keep = [tensor.name for tensor in (plan.input, *plan.outputs)]
        guess = decide(look(inline_functions(part, keep), plan.input, plan.outputs[0]))
        said: list[str] = []
        try:
            found = choose_preprocessing(PreprocessingSpec(), plan, guess, said)
        except FreezeError as error:
            self._error(error.code, error.message)
            return GuessedPreprocessing(fields={}, assumed=guess.reasons, problem=error.message)
        if found is None:
            self._findings.append(finding("takes_no_images", "warning", said[-1]))
            return GuessedPreprocessing(fields={}, assumed=[], problem=said[-1])
        words = aspects(found.preprocessing)
        meant = choices(self._command(body), found.preprocessing, found.basis)
        return GuessedPreprocessing(
            fields=found.preprocessing.model_dump(mode="json"),
            basis=found.basis,
            assumed=[words[aspect] for aspect in found.basis.assumed],
            choices=[PreparationChoice(**choice._asdict()) for choice in meant],
        )

    def _error(self, code: str, message: str) -> None:
        self._findings.append(finding(code, "error", message))

    def _command(self, body: dict[str, Any]) -> str:
        return freeze_command(self._request.source or "SOURCE", body)


def freeze_command(source: str, body: dict[str, Any]) -> str:
    """Return the freeze as a command for a terminal."""
    words = ["./permafrost", "freeze", shlex.quote(source), "--name", body["name"]]
    for option, key in (("--output", "outputs"), ("--input", "inputs")):
        for name in body.get(key, []):
            words += [option, shlex.quote(name)]
    for name, value in body.get("set", {}).items():
        words.append(as_option(shlex.quote(name), value))
    for key in ("signature", "checkpoint"):
        if key in body:
            words += [f"--{key}", shlex.quote(body[key])]
    if body.get("averages"):
        words.append("--averages")
    return " ".join(words)


def _model_name(name: str) -> str:
    """Return a model's name made from the source's."""
    stem = name.removesuffix(".pb").removesuffix(".ckpt")
    made = "".join(char if char.isalnum() or char in "-_" else "-" for char in stem).strip("-_")
    made = made.lower()[:64]
    return made if is_model_name(made) else "my-model"
