"""Freezes whose child is taken by code of the source, at the point where the source is loaded."""

import json
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from freezing.child import Child
from freezing.process import freeze
from freezing.publishing.safe_copy import take
from freezing.running.child_events import Events, UnsoundReportError
from tests.support.system import ROOT
from tests.unit.freezing import networks
from tests.unit.freezing.saved import save
from worker.contract.source_requests import FreezeRequest
from worker.errors import FreezeError
from worker.models.registry import Registry
from worker.settings import Settings

# Python imports it as it starts, since it lies on PYTHONPATH. In the process that has the source,
# the function `lost` of a file beside it is run where the source has been frozen, in the place of
# what says so.
HOOK = """
import json, os, sys
sys.path.insert(0, {root!r})
import freezing.running.forks as forks

_run = forks._run

def taken(parent, writer, write, function, arguments):
    if function.__name__ == "freeze_source":
        original = function
        def function(report, order):
            made = original(report, order)
            with open({hook!r} + "/lost.py") as file:
                exec(file.read(), globals())
            return lost(made, order, writer)
    _run(parent, writer, write, function, arguments)

forks._run = taken

def say(writer, text):
    while text:
        text = text[os.write(writer, text):]

"""

LOST = """
def lost(made, order, writer):
    graph = str(order.graph)
{body}
    return made
"""

REACHING = """
    import tensorflow as tf
    graph_def = tf.compat.v1.GraphDef()
    with open(graph, "rb") as file:
        graph_def.ParseFromString(file.read())
    function = graph_def.library.function.add()
    function.signature.name = "deep"
    function.node_def.add(name="reach", op="{op}")
    graph_def.node.add(name="call", op="PartitionedCall").attr["f"].func.name = "deep"
    with open(graph, "wb") as file:
        file.write(graph_def.SerializeToString())
    made["outcome"]["audit"] = {{"verdict": "allowed", "ops": {{}}, "functions": 0}}
"""


class Lost:
    """Freezes a small checkpoint with a child that is lost, and looks at what is left."""

    def __init__(self, folder: Path, hook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.registry = Registry(folder / "models")
        self._hook = hook
        monkeypatch.setenv("PYTHONPATH", str(hook))
        save(folder / "source", networks.plain)

    def freeze(self, body: str, **settings: Any) -> dict[str, Any]:
        (self._hook / "lost.py").write_text(LOST.format(body=body))
        workdir = self.folder / "work"
        workdir.mkdir()
        return freeze(
            FreezeRequest.parse({"name": "model", "outputs": ["y_pred"], "optimise": False}),
            self.folder / "source",
            workdir=workdir,
            registry=self.registry,
            job_id="job-1",
            settings=Settings(data=self.folder, **settings),
            on_log=lambda _: None,
            cancelled=lambda: False,
        )

    def refused(self, body: str, **settings: Any) -> FreezeError:
        """Return the error with which the freeze ended, which published nothing."""
        with pytest.raises(FreezeError) as refused:
            self.freeze(body, **settings)
        assert self.registry.names() == []
        assert not list((self.folder / "models" / ".staging").glob("*"))
        assert not (self.folder / "work.taken").exists()
        assert "Traceback" not in refused.value.message
        assert refused.value.message.endswith(".")
        return refused.value


@pytest.fixture(scope="module")
def hook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hook")
    text = HOOK.format(root=str(ROOT), hook=str(folder))
    (folder / "sitecustomize.py").write_text(text)
    return folder


@pytest.fixture
def lost(tmp_path: Path, hook: Path, monkeypatch: pytest.MonkeyPatch) -> Lost:
    return Lost(tmp_path, hook, monkeypatch)


@pytest.mark.parametrize("op", ["WriteFile"])
def test_a_graph_that_was_put_in_the_place_of_the_audited_one_is_not_published(
    lost: Lost, op: str
) -> None:
    error = lost.refused(REACHING.format(op=op))
    # Where running it is refused first, by TensorFlow, that is as good.
    assert error.code in {"unsafe_graph", "not_runnable"}


def test_a_link_in_the_place_of_the_graph_is_not_published(lost: Lost) -> None:
    body = """
    os.rename(graph, graph + ".aside")
    os.symlink(graph + ".aside", graph)
"""
    assert lost.refused(body).code == "unsound_report"


LIES = {
    "a million labels": """
    made["outcome"]["labels"] = ["x"] * 1_000_000
""",
    "a line without end": """
    for _ in range(40):
        say(writer, b"x" * (1 << 20))
""",
}


@pytest.mark.parametrize("what", LIES)
def test_what_no_process_of_ours_says_ends_the_freeze(lost: Lost, what: str) -> None:
    assert lost.refused(LIES[what]).code == "unsound_report"


@pytest.mark.parametrize(
    "said",
    [
        b'{"event": "done", "outcome": {"bytes_before": NaN}}\n',
        b'{"event": "done"}\n',
        b"Traceback\n",
        b"[1]\n",
        b'{"event": ' + b"[" * 100_000 + b"\n",
        b"x" * (40 << 20),
        b'{"event": "log", "message": "x"}\n' * 5000,
        b'{"event": "log", "message": 7}\n',
        b'{"event": "step", "step": "owning"}\n',
        b'{"event": "failed", "code": ["x"], "message": "x"}\n',
        b'{"event": "failed", "code": "\\ud800", "message": "x"}\n',
        b"\xff\xff\n",
    ],
    ids=range(12),
)
def test_what_is_no_event_is_said_to_be_unsound(said: bytes) -> None:
    events, chunks = Events(), range(0, len(said), 1 << 16)
    with pytest.raises(UnsoundReportError):
        deque(event for start in chunks for event in events.feed(said[start : start + (1 << 16)]))


def test_what_is_told_holds_whole_characters() -> None:
    told = b'{"event": "%s", "code": "c", "message": "a\\ud800b"}\n'
    found = [*Events().feed(told % b"failed"), *Events().feed(told % b"log")]
    assert [event["message"] for event in found] == ["a?b", "a?b"]


def test_what_is_said_of_the_file_is_not_believed(lost: Lost) -> None:
    said = lost.freeze("""
    made["outcome"].update(bytes_after=1, nodes_after=1)
    made["outcome"]["audit"] = {"verdict": "allowed", "ops": {"Lie": 1}, "functions": 99}
""")
    path = lost.registry.graph_path("model", 1)
    assert said["bytes_after"] == path.stat().st_size
    assert said["nodes_after"] > 1
    assert "Lie" not in said["audit"]["ops"]
    assert said["audit"]["functions"] == 0


REACH = """
    import ctypes, signal, socket
    libc = ctypes.CDLL(None, use_errno=True)
    def call(name, *arguments):
        if getattr(libc, name)(*arguments) < 0:
            raise OSError(ctypes.get_errno(), "refused")
    def fork():
        if os.fork() == 0:
            os._exit(0)
    parent = os.getppid()
    grand = int(open("/proc/%d/stat" % parent).read().rpartition(")")[2].split()[1])
    server = next(
        int(pid) for pid in open("/proc/%d/task/%d/children" % (grand, grand)).read().split()
        if int(pid) != parent and b"preloaded" in open("/proc/%s/cmdline" % pid, "rb").read()
    )
    done = {}
    for name, attempt in {
        "memory of the parent": lambda: open("/proc/%d/mem" % parent, "r+b"),
        "environment of the parent": lambda: open("/proc/%d/environ" % parent).read(),
        "pipes of the parent": lambda: os.open("/proc/%d/fd/1" % parent, os.O_WRONLY),
        "memory of the worker": lambda: open("/proc/%d/mem" % grand, "r+b"),
        "environment of the worker": lambda: open("/proc/%d/environ" % grand).read(),
        "memory of the fork server": lambda: open("/proc/%d/mem" % server, "r+b"),
        "environment of the fork server": lambda: open("/proc/%d/environ" % server).read(),
        "signal the fork server": lambda: os.kill(server, signal.SIGCONT),
        "attach to the fork server": lambda: call("ptrace", 16, server, 0, 0),
        "attach": lambda: call("ptrace", 16, parent, 0, 0),
        "signal": lambda: os.kill(parent, signal.SIGCONT),
        "signal the worker": lambda: os.kill(grand, signal.SIGCONT),
        "signal a thread": lambda: call("tgkill", parent, parent, signal.SIGCONT),
        "limit": lambda: call("prlimit", grand, 4, b"\\0" * 16, None),
        "connect": lambda: socket.socket(socket.AF_INET),
        "run": lambda: os.execv("/bin/true", ["true"]),
        "fork": fork,
        "leave": os.setsid,
        "the registry": lambda: os.listdir(os.path.join(os.path.dirname(graph), "..", "models")),
        "passwords": lambda: open("/etc/passwd").read(),
    }.items():
        try:
            attempt()
            done[name] = "done"
        except OSError as error:
            done[name] = error.errno
    done["secrets"] = [name for name in os.environ if "HIDDEN" in name or "REDIS" in name]
    made["outcome"]["warnings"].append(json.dumps(done))
"""


def test_it_reaches_no_other_process_and_leaves_none(
    lost: Lost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIDDEN_WORD", "secret")
    monkeypatch.setenv("REDIS_URL", "redis://:secret@localhost")
    (lost.folder / "models").mkdir()
    (text,) = [text for text in lost.freeze(REACH)["warnings"] if text.startswith("{")]
    found = json.loads(text)
    assert found.pop("secrets") == []
    from worker.confinement import landlock

    try:
        landlock.version()
    except OSError:
        pytest.skip("this kernel has no Landlock")
    assert {name: answer for name, answer in found.items() if answer not in {1, 13, 38}} == {}
    assert len(found) == 20


# -- a child that is not confined ------------------------------------------------------------------

DAEMON = """
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            with open({mark!r}, "w") as file:
                file.write(str(os.getpid()))
            import time
            time.sleep(600)
        os._exit(0)
    os.wait()
    while not os.path.exists({mark!r}):
        pass
"""


def test_what_it_leaves_behind_is_ended_where_nothing_confines_it(lost: Lost) -> None:
    mark = lost.folder / "pid"
    lost.freeze(DAEMON.format(mark=str(mark)), freeze_confinement="off")
    pid = int(mark.read_text())
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("it lives")


def test_a_pipe_in_the_place_of_the_graph_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "graph.pb")
    with pytest.raises(UnsoundReportError):
        take(tmp_path / "graph.pb", tmp_path / "taken")
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(UnsoundReportError):
        take(tmp_path / "link", tmp_path / "taken")


def test_the_child_is_the_one_that_is_meant() -> None:
    """The tests above change a function of `freezing.running.forks` by its name."""
    from freezing.running import forks

    check: Callable[..., Any] = forks._run
    assert check.__code__.co_varnames[:5] == ("parent", "writer", "write", "function", "arguments")
    assert Child.__module__ == "freezing.child"
