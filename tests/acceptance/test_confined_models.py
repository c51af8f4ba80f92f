"""A model that got through the audit: what its ops can reach when TensorFlow runs them."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.system import ROOT, clean_environment

# As `freezing.__main__` does it: confine, load TensorFlow, and run graphs in forked processes.
SCRIPT = """
import json, os, sys
from pathlib import Path
from worker.confinement.confine import confine
from freezing.running.limits import limit
own, secret, outside = sys.argv[1:4]
os.environ.update(HOME=own, TMPDIR=own)
limit(2 << 30)
found = confine([], [Path(own)])
import tensorflow as tf
from freezing.running.forks import apart
from freezing.running.failures import CrashedError
from freezing.running.steps import Report
v1 = tf.compat.v1

def run(_, op, *arguments):
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        made = getattr(tf.raw_ops, op)(**dict(zip(*[iter(arguments)] * 2)))
        answer = session.run(made)
    return str(answer)

def python(_, what):
    def call(_):
        import socket
        if what == "connect":
            socket.create_connection(("127.0.0.1", 6379))
        os.system("true")
        return b"done"
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        return str(session.run(v1.py_func(call, [b"x"], tf.string)))

def crash(_):
    import ctypes
    ctypes.string_at(8)

answers = {}
for name, function, *arguments in [
    ("add", run, "AddV2", "x", 1.0, "y", 2.0),
    ("read a secret", run, "ReadFile", "filename", secret),
    ("find files", run, "MatchingFiles", "pattern", str(Path(secret).parent / "*")),
    ("write outside", run, "WriteFile", "filename", outside, "contents", "x"),
    ("write its own", run, "WriteFile", "filename", own + "/x", "contents", "x"),
    ("connect from Python", python, "connect"),
    ("crash", crash),
    ("add again", run, "AddV2", "x", 1.0, "y", 2.0),
]:
    try:
        answers[name] = apart(Report(lambda _: None), function, *arguments, doing="running it")
    except Exception as error:
        answers[name] = f"{type(error).__name__}: {error}"
print(json.dumps({"answers": answers, "in_force": found.in_force, "missing": found.missing}))
"""


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("model")
    own, secret = folder / "own", folder / "private" / "secret"
    own.mkdir()
    secret.parent.mkdir()
    secret.write_text("hidden word")
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(own), str(secret), str(folder / "outside")],
        cwd=ROOT,
        env=clean_environment(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert not (folder / "outside").exists() or "Landlock" not in answer.stdout
    assert (own / "x").read_text() == "x"
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def test_ops_that_compute_do_so_in_each_process(tried: dict[str, Any]) -> None:
    assert tried["answers"]["add"] == tried["answers"]["add again"] == "3.0"
    assert tried["answers"]["write its own"] == "None"


@pytest.mark.parametrize("attempt", ["read a secret", "find files", "write outside"])
def test_ops_reach_no_file_but_their_own(tried: dict[str, Any], attempt: str) -> None:
    if not any(name.startswith("Landlock") for name in tried["in_force"]):
        pytest.skip(f"this kernel or container lacks it: {'; '.join(tried['missing'])}")
    answer = tried["answers"][attempt]
    assert "hidden" not in answer
    assert "Permission denied" in answer or answer == "[]"


def test_python_in_a_graph_reaches_no_network(tried: dict[str, Any]) -> None:
    if not any(name.startswith("a filter") for name in tried["in_force"]):
        pytest.skip(f"this kernel or container lacks it: {'; '.join(tried['missing'])}")
    assert "Permission denied" in tried["answers"]["connect from Python"]


def test_a_crash_is_told_and_the_next_process_works(tried: dict[str, Any]) -> None:
    crash = tried["answers"]["crash"]
    assert crash == "CrashedError: TensorFlow crashed while running it (signal SIGSEGV)."
