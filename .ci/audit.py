"""Ask whether vulnerabilities are known of what is pinned; fail where one is.

That takes a service on the network. Where none can be asked, or the one that answers knows none of
the packages, this says so and does not fail: it is not the change under test that is wrong.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements-dev.txt"  # holds all that the others hold
SERVICES = ("pypi", "osv")
LIMIT_S = 90  # for one service
ANSWER_S = 10  # for one question
# What pip-audit or the libraries below it say where a service cannot be asked.
UNREACHABLE = re.compile(
    r"ConnectionError|ConnectTimeout|ReadTimeout|NameResolutionError|ProxyError|SSLError|"
    r"Could not connect|Failed to (connect|resolve|establish)|ServiceError|HTTPError|"
    r"Max retries exceeded|Temporary failure|Network is unreachable"
)


def pins() -> list[str]:
    """Return every `name==version` of the lock."""
    return re.findall(r"^[\w.-]+==[^\s;]+", LOCK.read_text(), re.MULTILINE)


def ask(service: str, requirements: str) -> tuple[list[dict[str, object]], str]:
    """Return what a service knows of each package, or nothing and why it could not be asked."""
    command = [
        *(sys.executable, "-m", "pip_audit", "-r", requirements, "-s", service),
        *("--disable-pip", "--no-deps", "--progress-spinner", "off", "--format", "json"),
        *("--timeout", str(ANSWER_S)),
    ]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return [], f"no answer within {LIMIT_S} s"
    try:
        return list(json.loads(answer.stdout)["dependencies"]), ""
    except (ValueError, KeyError, TypeError):
        pass
    if UNREACHABLE.search(answer.stderr):
        return [], "it cannot be reached"
    # Not the network: pip-audit itself or what is pinned is broken, and that must be seen.
    sys.exit(f"pip-audit failed with exit code {answer.returncode}:\n{answer.stderr[-3000:]}")


def main() -> int:
    """Ask one service after the other, until one knows anything."""
    wanted = pins()
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(wanted) + "\n")
        file.flush()
        for service in SERVICES:
            found, why = ask(service, file.name)
            known = [row for row in found if "skip_reason" not in row]
            if not known:
                print(f"{service}: skipped, {why or 'it knows none of the packages'}.")
                continue
            for row in found:
                if "skip_reason" in row:
                    print(f"{service}: skipped {row['name']}: {row['skip_reason']}")
            bad = [row for row in known if row.get("vulns")]
            for row in bad:
                for one in row["vulns"]:  # type: ignore[attr-defined]  # JSON
                    fixed = ", ".join(one.get("fix_versions", [])) or "no version yet"
                    print(f"{row['name']} {row['version']}: {one['id']}, mended in {fixed}")
            print(f"{service}: {len(known)} of {len(wanted)} packages audited, {len(bad)} with a "
                  "known vulnerability.")  # fmt: skip
            return 1 if bad else 0
    print(f"SKIPPED: none of {len(wanted)} packages was audited; no service could be asked.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
