"""The whole OpenAPI document against a running system: what fits it, and what does not."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.conformity import described
from tests.support.gunicorn import HOST, Api
from tests.support.sentences import unclear
from tests.support.system import ROOT, clean_environment

# Refusals that say to come again are no mistakes: the system may be busy with other tests.
PASSING: Final = frozenset({503, 507})
FUZZED: Final = ROOT / "tests" / "hostile" / "fuzzed"
QUIETLY: Final = settings(
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the API on a Redis of its own: what is accepted is never worked on."""
    running = Api(tmp_path_factory.mktemp("fuzzed") / "data", PERMAFROST_MAX_WAIT_S="0.2")
    yield f"http://{HOST}:{running.ports[0]}"
    running.remove()


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60) as found:
        yield found


def _judge(asked: str, status: int, kind: str, text: str) -> None:
    """Fail where an answer is no answer of ours, or not as the document says."""
    assert status < 500 or status in PASSING, f"{asked}: {status} {text[:500]}"
    if status >= 400 and "/readyz" not in asked:  # which is 503 with what is not ready yet
        assert kind == "application/problem+json", f"{asked}: {status} {kind} {text[:200]}"
        problem = json.loads(text)
        assert problem["status"] == status, asked
        assert problem["code"], asked
        wrong = unclear(problem["detail"])
        assert wrong is None, f"{asked}: {wrong}: {problem['detail']}"
    elif kind == "application/json":
        json.loads(text)


@pytest.mark.timeout(280)
def test_the_whole_document_holds_whatever_is_sent(url: str, tmp_path: Path) -> None:
    """Nothing is left out: neither operations nor checks (`tests/hostile/fuzzed/`)."""
    # As a file: of an address it would leave out the operation that answers with the document.
    document = tmp_path / "openapi.json"
    document.write_bytes(httpx.get(f"{url}/openapi.json").content)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--no-color"),
            *("--config-file", str(FUZZED / "schemathesis.toml")),
            *("run", str(document), "--url", url, "--phases", "examples,coverage,fuzzing"),
        ],
        cwd=tmp_path,  # where it keeps what it found
        env=clean_environment(
            PYTHONPATH=str(ROOT), SCHEMATHESIS_HOOKS="tests.hostile.fuzzed.hooks"
        ),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    found = f"{done.stdout[-12_000:]}\n{done.stderr[-4000:]}"
    assert done.returncode == 0, found
    count = sum(len(methods) for methods in described()["paths"].values())
    assert f"Selected: {count}/{count}" in done.stdout, found
    assert f"Tested: {count}" in done.stdout, found
    assert httpx.get(f"{url}/healthz").status_code == 200


# -- JSON of every kind -----------------------------------------------------------------------

_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**63, max_value=2**4000),
    st.floats(allow_nan=False, allow_infinity=False),
    _TEXT,
    st.sampled_from(["", "\0", "\ud800", "../..", "a" * 5000, "NaN", "stable", "cats-dogs@1"]),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_TEXT, inner, max_size=4)),
    max_leaves=12,
)
_FIELDS = {
    "/v1/freezes": (
        *("source", "name", "inputs", "outputs", "set", "labels", "preprocessing", "scores"),
        *("alias", "optimise", "batch", "runtime", "samples", "examples", "signature", "webhook"),
    ),
    "/v1/inspections": ("source", "signature", "checkpoint", "webhook"),
    "/v1/batches": ("folder", "recursive", "patterns", "open", "model", "top", "webhook"),
    "/v1/models/cats-dogs/aliases/fuzzed": ("version", "else"),
}


def _send(client: httpx.Client, path: str, body: bytes) -> httpx.Response:
    method = "PUT" if "/aliases/" in path else "POST"
    return client.request(method, path, content=body, headers={"Content-Type": "application/json"})


@pytest.mark.timeout(120)
@pytest.mark.parametrize("path", _FIELDS)
def test_json_of_every_kind_is_answered_with_a_sentence(client: httpx.Client, path: str) -> None:
    fields = st.fixed_dictionaries({}, optional=dict.fromkeys(_FIELDS[path], _VALUES))

    @settings(QUIETLY, max_examples=60)
    @given(body=st.one_of(fields, _VALUES))
    def attack(body: object) -> None:
        response = _send(client, path, json.dumps(body).encode("ascii"))
        kind = response.headers["content-type"]
        _judge(f"{path} {body!r:.300}", response.status_code, kind, response.text)

    attack()


@pytest.mark.parametrize("path", _FIELDS)
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"top": ' + b"9" * 5000 + b"}",
        b'{"version": ' + b"9" * 100_000 + b"}",
        b'{"version": 1e999}',
        b'{"version": NaN}',
        b'{"name": "\xff\xfe"}',
        b'{"name": "\\ud800"}',
        b'{"name": "a\\u0000b", "source": "\\u0000"}',
        b'{"folder": "\\ud800"}',
        b'{"name": 1, "name": 2}',
        b'\xef\xbb\xbf{"version": 1}',
        b"",
        b"null",
        b'"text"',
        b"{",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_json_that_is_made_to_harm_is_refused(client: httpx.Client, path: str, body: bytes) -> None:
    response = _send(client, path, body)
    kind = response.headers["content-type"]
    _judge(f"{path} {body[:60]!r}", response.status_code, kind, response.text)
    assert 400 <= response.status_code < 500 or response.status_code in PASSING
