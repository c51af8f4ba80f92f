"""A Redis with users, and where it can with TLS, as an operator sets one up."""

import hashlib
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import redis
import trustme

from tests.support.polling import wait_until
from tests.support.redis_server import executable
from tests.support.system import free_port

# Everything in it that is special in a URL, a shell or a configuration.
NASTY = "p@ss:w/ord?#%41 &$x'\"\\;"


def passwords() -> Iterator[str]:
    """Give passwords with special characters, no two with four characters in a row in common."""
    while True:
        yield NASTY.replace("x", secrets.token_hex(8), 1)


class GuardedRedis:
    """A server with the users of an ACL file, each with a password of its own."""

    def __init__(self, acl: str, *, tls: bool = False) -> None:
        """`acl`: as in the documentation, with `>NAME_PASSWORD` for each user's password."""
        self.folder = Path(tempfile.mkdtemp(prefix="pf-acl-"))
        self.port = free_port()
        self.tls = tls
        self.passwords: dict[str, str] = {}
        made = passwords()

        def hashed(match: re.Match[str]) -> str:
            name = match[1].lower().replace("_", "-")
            self.passwords[name] = next(made)
            return "#" + hashlib.sha256(self.passwords[name].encode()).hexdigest()

        (self.folder / "users.acl").write_text(re.sub(r">([A-Z_]+)_PASSWORD", hashed, acl))
        self.authority = self.folder / "ca.pem"
        ports = ["--port", str(self.port)]
        if tls:
            authority = trustme.CA()
            authority.cert_pem.write_to_path(str(self.authority))
            served = authority.issue_cert("localhost")
            served.private_key_pem.write_to_path(str(self.folder / "key.pem"))
            for blob in served.cert_chain_pems:
                blob.write_to_path(str(self.folder / "cert.pem"), append=True)
            ports = [
                *("--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"),
                *("--tls-cert-file", str(self.folder / "cert.pem")),
                *("--tls-key-file", str(self.folder / "key.pem")),
            ]
        self._log = self.folder / "redis.log"
        program = tls_executable(self.folder) if tls else executable()
        assert program
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(program, *ports, "--bind", "127.0.0.1", "--dir", str(self.folder)),
                    *("--aclfile", str(self.folder / "users.acl")),
                    *("--save", "", "--appendonly", "no", "--acllog-max-len", "1000"),
                    *("--maxmemory", "1gb"),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._answers, within_s=20, what="Redis answers")

    def url(self, user: str) -> str:
        """Return the address for one user."""
        who = f"{user}:{quote(self.passwords[user], safe='')}"
        if self.tls:
            trusted = quote(str(self.authority))
            return f"rediss://{who}@localhost:{self.port}/0?ssl_ca_certs={trusted}"
        return f"redis://{who}@localhost:{self.port}/0"

    def connect(self, user: str) -> redis.Redis:
        """Return a connection as a user."""
        return redis.Redis.from_url(self.url(user))

    def refused(self) -> list[str]:
        """Return what was refused to whom so far."""
        with self.connect("operator") as client:
            return [
                f"{row['username']}: {row['reason']} {row['object']} (in {row['context']})"
                for row in client.acl_log(1000)
            ]

    def remove(self) -> None:
        """Stop the server and delete its folder."""
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self._log.read_text(errors="replace")
        try:
            with self.connect("operator") as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


def tls_executable(folder: Path) -> str | None:
    """Return a Redis server that speaks TLS, or None where this machine has none.

    Debian's `redis-tools` brings one without starting it: the program is the server by its name.
    """
    found = [executable(), shutil.which("redis-server"), shutil.which("valkey-server")]
    checker = shutil.which("redis-check-rdb")
    if checker:
        link = folder / "redis-server"
        if not link.is_symlink():
            link.symlink_to(checker)
        found.append(str(link))
    return next((one for one in found if one and _speaks_tls(one)), None)


def _speaks_tls(program: str) -> bool:
    """Whether a server takes the option; without a certificate it ends either way."""
    with subprocess.Popen(
        [program, "--port", "0", "--tls-port", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            said = process.communicate(timeout=10)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            return False
    return b"Bad directive" not in said and b"bad directive" not in said.lower()
