"""Prints what the faults were and what was measured, whether tests fail or not."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print seeds and measurements; a seed is given again with `PERMAFROST_FAULT_SEED`."""
    lines = []
    for reports in terminalreporter.stats.values():
        for report in reports:
            told = getattr(report, "user_properties", ())
            if told and getattr(report, "when", "") == "call" and "faults" in report.nodeid:
                facts = ", ".join(f"{name} {value}" for name, value in told)
                lines.append(f"{report.nodeid.rpartition('/')[2]}: {facts}")
    if lines:
        terminalreporter.section("faults: seeds (PERMAFROST_FAULT_SEED) and measurements")
        for line in sorted(lines):
            terminalreporter.write_line(line)
