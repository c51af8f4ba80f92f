"""What the benchmarks print."""

from dataclasses import dataclass, field


@dataclass
class Table:
    """What was measured, against what was asked for."""

    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    def add(self, what: str, measured: str, wanted: str = "", *, holds: bool | None = None) -> None:
        """Add a row and show it at once."""
        verdict = "" if holds is None else "yes" if holds else "NO"
        self.rows.append((what, measured, wanted, verdict))
        print(f"  {what:<58} {measured:>22}  {wanted:<12} {verdict}", flush=True)

    @property
    def holds(self) -> bool:
        """Whether everything that was asked for was reached."""
        return all(verdict != "NO" for *_, verdict in self.rows)
