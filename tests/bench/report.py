"""What is printed of the rounds: rates, latencies, and where the processor time went."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median

from tests.bench.rounds import Round, budget, spread


def print_part(
    part: str, measured: Mapping[str, Sequence[Round]], titles: Mapping[str, str]
) -> None:
    """Print a line for each contender."""
    print(f"\n  {part:<38} {'images/s (least..greatest)':>28} {'p50 ms':>8} {'p99 ms':>8}  wrong")
    for key, rounds in measured.items():
        rates = spread([one.rate for one in rounds]).shown()
        latencies = [
            _median([getattr(one, name) for one in rounds]) for name in ("p50_ms", "p99_ms")
        ]
        errors = sum((Counter(one.errors) for one in rounds), Counter())
        wrong = ", ".join(f"{count} x {what}" for what, count in errors.most_common(3))
        print(f"  {titles[key]:<38} {rates:>28} {latencies[0]:>8} {latencies[1]:>8}  {wrong}")


def print_budget(
    part: str, measured: Mapping[str, Sequence[Round]], titles: Mapping[str, str]
) -> None:
    """Print the processor time per image of each contender by process."""
    print(f"\n  processor time per image, {part}, in ms")
    for key, rounds in measured.items():
        found = budget(rounds)
        each = ", ".join(f"{name} {used:.2f}" for name, used in found.items())
        print(f"  {titles[key]:<38} {sum(found.values()):6.2f}  {each}")


def _median(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known):.1f}" if known else ""
