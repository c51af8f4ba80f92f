"""What worker processes worked on to the end, as the witness among them noted it."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Runs:
    """What was worked on to the end: outcomes by item, one for each time."""

    outcomes: Mapping[str, list[dict[str, Any]]]
    refused: Counter[str]  # late outcomes, by item

    def of(self, job_id: str) -> dict[str, list[dict[str, Any]]]:
        """Return the outcomes of one job, by item."""
        return {item: seen for item, seen in self.outcomes.items() if item.startswith(job_id)}

    @property
    def repeated(self) -> int:
        """How many runs there were beyond one of each item."""
        return sum(len(seen) - 1 for seen in self.outcomes.values())


def read_witness(path: Path) -> Runs:
    """Read what `tests.support.injected.witness` wrote; there is no file before the first run."""
    outcomes: dict[str, list[dict[str, Any]]] = {}
    refused: Counter[str] = Counter()
    for text in path.read_text().splitlines() if path.exists() else ():
        line = json.loads(text)
        refused.update(line.get("refused", ()))
        for item, outcome in line.get("ran", {}).items():
            outcomes.setdefault(item, []).append(outcome)
    return Runs(outcomes, refused)
