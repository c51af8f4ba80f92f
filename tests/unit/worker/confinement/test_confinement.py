"""What a confined process cannot do, tried on this machine's kernel, and the filter for others."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.system import ROOT, clean_environment
from worker.confinement import landlock, seccomp
from worker.confinement.confine import InForce, NotConfinedError

# What a model that runs code of its own would try. Each answers with the error it met, or "done".
ATTEMPTS = """
import ctypes, json, os, signal, socket, subprocess, sys
from pathlib import Path
import freezing, worker
from worker.confinement.confine import confine

own, source, secret, outside = (Path(text) for text in sys.argv[1:5])
outer = os.readlink("/proc/self/ns/net")
found = confine([source], [own])

def connect(family, address):
    with socket.socket(family) as connection:
        connection.connect(address)

def call(number, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")

def fork():
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)

attempts = {
    "compute": lambda: sum(range(10)),
    "fork": fork,
    "read the source": lambda: (source / "model").read_text(),
    "write its own": lambda: (own / "graph.pb").write_text("x"),
    "rename its own": lambda: (own / "graph.pb").rename(own / "graph"),
    "read itself": lambda: Path("/proc/self/status").read_text(),
    "read a secret": lambda: secret.read_text(),
    "list a folder": lambda: list(secret.parent.iterdir()),
    "read passwords": lambda: Path("/etc/passwd").read_text(),
    "read the parent's environment": lambda: Path(f"/proc/{os.getppid()}/environ").read_text(),
    "write outside": lambda: outside.write_text("x"),
    "write to the source": lambda: (source / "model").write_text("x"),
    "delete the source": lambda: (source / "model").unlink(),
    "link a secret": lambda: os.link(secret, own / "link"),
    "connect": lambda: connect(socket.AF_INET, ("127.0.0.1", int(sys.argv[5]))),
    "connect to Redis's socket": lambda: connect(socket.AF_UNIX, str(secret)),
    "send packets": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "packets of the machine": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "io_uring": lambda: call(425, 8, None),
    "run a program": lambda: subprocess.run(["/bin/true"], check=True),
    "run a program of its own": lambda: os.execv(own / "graph", ["graph"]),
    "signal the parent": lambda: os.kill(os.getppid(), 0),
    "leave the group": os.setsid,
    "become another": lambda: os.setuid(12345 if os.getuid() == 0 else 0),
    "a new namespace": lambda: call(272 if os.uname().machine == "x86_64" else 97, 0x10000000),
    "mount": lambda: call(165 if os.uname().machine == "x86_64" else 40, 0, 0, 0, 0, 0),
}
answers = {}
for name, attempt in attempts.items():
    try:
        attempt()
        answers[name] = "done"
    except OSError as error:
        answers[name] = error.errno
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps({
    "answers": answers,
    "in_force": found.in_force,
    "missing": found.missing,
    "same_network": os.readlink("/proc/self/ns/net") == outer,
    "capabilities": int(status["CapEff"], 16),
    "no_new_privileges": status["NoNewPrivs"].strip(),
}))
"""
ALLOWED = {"compute", "fork", "read the source", "write its own", "rename its own", "read itself"}
BY_FILES = {
    *("read a secret", "list a folder", "read passwords", "read the parent's environment"),
    *("write outside", "write to the source", "delete the source", "link a secret"),
}
BY_CALLS = {
    *("connect", "connect to Redis's socket", "send packets", "packets of the machine", "io_uring"),
    *("run a program", "run a program of its own", "signal the parent", "leave the group"),
    *("a new namespace", "mount"),
}


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Try everything in one confined process."""
    import socket

    folder = tmp_path_factory.mktemp("confined")
    own, source, secret = folder / "own", folder / "source", folder / "private" / "secret"
    for each in (own, source, secret.parent):
        each.mkdir()
    (source / "model").write_text("weights")
    secret.write_text("hidden word")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = str(listening.getsockname()[1])
        paths = [str(path) for path in (own, source, secret, folder / "outside")]
        answer = subprocess.run(
            [sys.executable, "-c", ATTEMPTS, *paths, port],
            cwd=ROOT,
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert answer.returncode == 0, answer.stderr
    assert secret.read_text() == "hidden word"
    assert (source / "model").read_text() == "weights"
    assert not (folder / "outside").exists()
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def need(tried: dict[str, Any], mechanism: str) -> None:
    if not any(name.startswith(mechanism) for name in tried["in_force"]):
        pytest.skip(f"this kernel or container lacks it: {'; '.join(tried['missing'])}")


@pytest.mark.parametrize("attempt", sorted(ALLOWED))
def test_what_working_on_a_model_needs_is_left(tried: dict[str, Any], attempt: str) -> None:
    assert tried["answers"][attempt] == "done"


@pytest.mark.parametrize("attempt", sorted(BY_FILES))
def test_files_that_are_not_its_own_are_out_of_reach(tried: dict[str, Any], attempt: str) -> None:
    need(tried, "Landlock")
    assert tried["answers"][attempt] in {errno.EACCES, errno.EPERM, errno.EXDEV}


@pytest.mark.parametrize("attempt", sorted(BY_CALLS))
def test_network_programs_and_processes_are_out_of_reach(
    tried: dict[str, Any], attempt: str
) -> None:
    need(tried, "a filter")
    assert tried["answers"][attempt] in {errno.EACCES, errno.EPERM, errno.ENOSYS}


def test_it_has_no_network_of_its_own(tried: dict[str, Any]) -> None:
    need(tried, "a network namespace")
    assert not tried["same_network"]


def test_root_is_root_no_longer(tried: dict[str, Any]) -> None:
    need(tried, "no capabilities")
    assert tried["capabilities"] & ~0b110 == 0
    assert tried["answers"]["become another"] == errno.EPERM
    assert tried["no_new_privileges"] == "1"


def test_each_attempt_was_judged(tried: dict[str, Any]) -> None:
    assert tried["answers"].keys() == ALLOWED | BY_FILES | BY_CALLS | {"become another"}


def test_an_operator_can_demand_it() -> None:
    InForce(in_force=["Landlock 4", "a filter of system calls"]).check()
    weak = InForce(in_force=["no capabilities"], missing=["Landlock (Function not implemented)"])
    with pytest.raises(NotConfinedError, match=r"Missing: Landlock .*set it to auto") as refused:
        weak.check()
    assert refused.value.code == "not_confined"


@pytest.mark.parametrize("has", range(8))
def test_every_version_of_landlock_is_asked_for_what_it_knows(
    has: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {}

    def call(number: int, *arguments: Any) -> int:
        if number == 444 and arguments[0] is None:
            if not has:
                raise OSError(errno.ENOSYS, "Function not implemented")
            return has
        if number == 444:
            asked["rights"], asked["size"] = list(arguments[0]), arguments[1].value
            return os.open(os.devnull, os.O_RDONLY)
        if number == 445:
            rule = arguments[2]._obj
            asked.setdefault("rules", []).append(rule.allowed_access)
        return 0

    monkeypatch.setattr(landlock, "call", call)
    monkeypatch.setattr(landlock, "gain_no_privileges", lambda: None)
    (tmp_path / "file").write_text("x")
    paths = [tmp_path, tmp_path / "file", tmp_path / "missing"]
    if not has:
        with pytest.raises(OSError, match="not implemented"):
            landlock.restrict_files(paths, [tmp_path])
        return
    assert landlock.restrict_files(paths, [tmp_path]) == has
    files, network, scope = asked["rights"]
    bits = {1: 13, 2: 14, 3: 15, 4: 15}.get(has, 16)
    assert files == (1 << bits) - 1
    assert asked["size"] == (8 if has < 4 else 16 if has < 6 else 24)
    assert (network, scope) == (0b11 if has >= 4 else 0, 0b11 if has >= 6 else 0)
    folder, file, writable = asked["rules"]
    assert (folder, file) == (0b1100, 0b100)
    assert writable & 0b1110 == 0b1110
    assert all(rule & ~files == 0 and rule & 1 == 0 for rule in asked["rules"])


# -- the filter, on a machine for filters made here ---------------------------------------------

AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW = 0x7FFF0000
CALLS = {
    # name: numbers on x86-64 and aarch64
    "read": (0, 63),
    "openat": (257, 56),
    "mmap": (9, 222),
    "futex": (202, 98),
    "socketpair": (53, 199),
    "tgkill": (234, 131),
    "socket": (41, 198),
    "execve": (59, 221),
    "ptrace": (101, 117),
    "io_uring_setup": (425, 425),
    "clone3": (435, 435),
}


def run(
    machine: str,
    number: int,
    *arguments: int,
    audit: int | None = None,
    alone: int | None = None,
) -> int:
    """Run the filter as the kernel does and return its answer."""
    program = seccomp.filter_program(machine, alone=alone)
    data = {0: number, 4: AUDIT[machine] if audit is None else audit}
    for place, argument in enumerate([*arguments, 0, 0, 0, 0, 0, 0][:6]):
        data[16 + 8 * place] = argument & 0xFFFFFFFF
    value = position = 0
    while True:
        step = program[position]
        position += 1
        if step.code == 0x20:
            value = data[step.constant]
        elif step.code == 0x06:
            return step.constant
        else:
            holds = {
                0x15: value == step.constant,
                0x35: value >= step.constant,
                0x45: bool(value & step.constant),
            }[step.code]
            position += step.if_true if holds else step.if_false


@pytest.mark.parametrize("machine", sorted(AUDIT))
def test_the_filter_refuses_by_the_numbers_of_the_machine(machine: str) -> None:
    column = {"x86_64": 0, "aarch64": 1}[machine]
    answers = {name: run(machine, numbers[column]) for name, numbers in CALLS.items()}
    refused = {name: answer & 0xFFFF for name, answer in answers.items() if answer != ALLOW}
    assert refused == {
        "socket": errno.EACCES,
        "execve": errno.EACCES,
        "ptrace": errno.EACCES,
        "io_uring_setup": errno.ENOSYS,
        "clone3": errno.ENOSYS,
    }
    clone = (56, 220)[column]
    assert run(machine, clone, 0x11 | 0x00010000) == ALLOW  # a thread
    assert run(machine, clone, 0x10000000) & 0xFFFF == errno.EACCES  # a user namespace
    assert run(machine, CALLS["read"][column], audit=0x40000003) == 0x80000000  # killed
    assert run(machine, 0x40000000 | 1) & 0xFFFF == errno.ENOSYS


@pytest.mark.parametrize("machine", sorted(AUDIT))
def test_some_calls_are_refused_by_their_arguments(machine: str) -> None:
    column = {"x86_64": 0, "aarch64": 1}[machine]

    def allowed(numbers: tuple[int, int], *arguments: int, alone: int | None = None) -> bool:
        answer = run(machine, numbers[column], *arguments, alone=alone)
        assert answer in {ALLOW, 0x00050000 | errno.EACCES}
        return answer == ALLOW

    prlimit, priority, kill, tgkill = (302, 261), (141, 140), (62, 129), (234, 131)
    assert allowed(prlimit, 0, 7)
    assert not allowed(prlimit, 4711, 7)
    assert allowed(priority, 0, 0, 5)
    assert not allowed(priority, 0, 4711, 5)
    pairs, stream, datagram = (53, 199), 1 | 0o2000000, 2 | 0o2000000
    assert allowed(pairs, 1, stream)
    assert not allowed(pairs, 1, datagram)
    for numbers, place in {(44, 206): 3, (46, 211): 2, (307, 269): 3}.items():
        flags = [0] * place
        assert allowed(numbers, *flags, 0x4000)
        assert not allowed(numbers, *flags, 0x4000 | 0x20000000)  # MSG_FASTOPEN
    # Only where a process makes no others is it known who it is.
    assert not allowed(kill, 4711, 0)
    assert allowed(tgkill, 4712, 4712, 6)
    assert allowed(kill, 4711, 9, alone=4711)
    assert allowed(kill, 4712, 0, alone=4711)  # a look
    assert not allowed(kill, 4712, 9, alone=4711)
    assert allowed(tgkill, 4711, 4713, 6, alone=4711)
    assert not allowed(tgkill, 4712, 4712, 6, alone=4711)
    clone = (56, 220)
    assert allowed(clone, 0x11)
    assert not allowed(clone, 0x11, alone=4711)
    assert allowed(clone, 0x3D0F00 | 0x00010000, alone=4711)
    assert not allowed(clone, 0x00010000 | 0x10000000, alone=4711)
    if column == 0:
        assert allowed((57, 0))
        assert not allowed((57, 0), alone=4711)


def test_a_machine_without_known_numbers_is_said() -> None:
    with pytest.raises(OSError, match="riscv64"):
        seccomp.filter_program("riscv64")


@pytest.mark.parametrize(
    ("column", "header"),
    [
        (0, Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")),
        (1, Path("/usr/include/asm-generic/unistd.h")),
    ],
)
def test_the_numbers_are_those_of_the_kernels_headers(column: int, header: Path) -> None:
    if not header.is_file():
        pytest.skip(f"{header} is not installed")
    found = re.findall(r"^#define __NR(?:3264)?_(\w+) (\d+)$", header.read_text(), re.MULTILINE)
    known = {name: int(number) for name, number in found}
    ours = {name: numbers[column] for name, numbers in seccomp._REFUSED.items()}
    ours |= seccomp._UNKNOWN
    ours |= {name: rule.numbers[column] for name, rule in seccomp._CONDITIONS.items()}
    ours |= {"kill": seccomp._KILL[column], "tgkill": seccomp._TGKILL[column]}
    if column == 0:
        ours |= {name: numbers[column] for name, numbers in seccomp._FORKS.items()}
    assert {name: known[name] for name in ours if name in known} == {
        name: number for name, number in ours.items() if name in known
    }
