"""Redis with passwords, users and TLS as docs/redis.md has them, and what is said of passwords."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import redis
from kombu.exceptions import OperationalError
from pydantic import ValidationError

from deploy.local import redis_server
from deploy.local.demo import FOLDER, OPTIONS
from deploy.local.errors import StartError
from tests.support.guarded_redis import NASTY, GuardedRedis, tls_executable
from tests.support.pictures import jpeg
from tests.support.polling import wait_until
from tests.support.receiver import Receiver
from tests.support.servers import Servers, Service
from tests.support.system import ROOT, clean_environment
from worker.credentials.api_key import Scope, digest_of
from worker.credentials.key_store import KeyStore
from worker.credentials.sessions import Sessions
from worker.jobs.broker import celery_app
from worker.jobs.keys import PREFIX, TEMPLATES, key
from worker.redis.address import check_redis_address, shown_address
from worker.redis.connection import broker_encryption, connect
from worker.settings import Settings
from worker.webhooks.signatures import make_secret

PAGE = (ROOT / "docs" / "redis.md").read_text()
ACL = re.findall(r"```acl\n(.*?)```", PAGE, re.DOTALL)[0]
LEAST = 4  # characters in a row that count as a part of a password


def parts(password: str) -> set[str]:
    """Return every part of a password, as it is and as it stands in a URL, that may not be seen."""
    found = set()
    for text in (password, quote(password, safe="")):
        found |= {text[n : n + LEAST] for n in range(len(text) - LEAST + 1)}
        # Four letters and digits stand in any log by chance; eight do not.
        found = {part for part in found if not part.isalnum()}
        found |= {text[n : n + 2 * LEAST] for n in range(len(text) - 2 * LEAST + 1)}
    return found


def assert_holds_nothing_of(text: str, passwords: list[str]) -> None:
    for password in passwords:
        seen = sorted(part for part in parts(password) if part in text)
        assert seen == [], f"parts of a password are said: {seen}"


class GuardedServers(Servers):
    """A system of which each service has a user of its own."""

    def __init__(self, guarded: GuardedRedis, data: Path, **settings: Any) -> None:
        super().__init__(data, workers=1, **settings)
        self._guarded = guarded

    def _start(self, name: str, *command: str, **environment: str) -> Service:
        user = {"worker": "inference"}.get(name, name)
        url = self._guarded.url(user)
        return super()._start(name, *command, **{**environment, "REDIS_URL": url})

    def start_webhooks(self) -> Service:
        self._counts["webhooks"] = 0
        self.services["webhooks"] = self._start("webhooks", "worker.webhooks")
        return self.services["webhooks"]

    def stop(self) -> None:
        """Stop the workers as a manager does."""
        for service in self.services.values():
            service.send_signal(signal.SIGTERM)
        for service in self.services.values():
            service.wait(timeout=60)


@pytest.fixture(params=["password", "tls"])
def guarded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GuardedRedis]:
    tls = request.param == "tls"
    if tls and not tls_executable(tmp_path):
        pytest.skip("no redis-server with TLS: Debian's redis-tools has one")
    server = GuardedRedis(ACL, tls=tls)
    yield server
    server.remove()


@pytest.mark.timeout(300)
def test_a_whole_system_works_with_no_more_than_the_page_allows(
    guarded: GuardedRedis, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    secret = make_secret(Settings(data=data))[0]
    receiver = Receiver(tmp_path, "127.0.0.1")
    system = GuardedServers(
        guarded,
        data,
        PERMAFROST_WEBHOOK_HOSTS="127.0.0.1",
        SSL_CERT_FILE=os.fspath(receiver.authority_file),
        PERMAFROST_RESULT_TTL_S="1",
        PERMAFROST_TOMBSTONE_TTL_S="1",
        PERMAFROST_SWEEP_INTERVAL_S="0.5",
        PERMAFROST_CLIENT_RATE="1000",
    )
    try:
        for start in (system.start_worker, system.start_freezing, system.start_webhooks):
            start()
        system.start_api()
        wait_until(system.ready, within_s=120, what="the system is ready")
        with httpx.Client(base_url=system.url, timeout=60) as web:
            use(web, receiver.url())
            # A process that dies leaves a claim for others to take back.
            system.kill(system.worker)
            lost = submit(web)
            system.start_worker()
            wait_until(lambda: ended(web, lost), within_s=60, what="the prediction")
            said = "".join(
                web.get(path).text for path in ("/v1/workers", "/metrics", "/readyz", "/workers")
            )
            admin = use_keys(web, guarded.url("api"), data)
            retire(web, admin)
        wait_until(lambda: len(receiver.heard) >= 2, within_s=30, what="both webhooks")
        system.stop()
        assert refused_by(guarded) == []
        logs = "".join(path.read_text(errors="replace") for path in data.glob("*.log"))
        assert "transport:" in logs  # Celery's greeting is among them
        assert_holds_nothing_of(logs + said, [*guarded.passwords.values(), secret])
    finally:
        system.remove()
        receiver.close()


def use(web: httpx.Client, webhook: str) -> None:
    """Do a bit of everything."""
    files = [("files", (p.name, p.read_bytes())) for p in sorted(FOLDER.iterdir())]
    form = {"options": json.dumps({**OPTIONS, "webhook": webhook})}
    freeze = web.post("/v1/freezes", files=files, data=form, headers={"Prefer": "wait=60"})
    assert freeze.json()["status"] == "succeeded", freeze.text
    assert web.post("/v1/inspections", files=files).status_code == 202
    wait_until(lambda: web.get("/readyz").status_code == 200, within_s=60, what="the model")
    answer = web.post("/v1/predictions", content=jpeg(9), headers={"Prefer": "wait=30"})
    assert answer.json()["status"] == "succeeded", answer.text
    answer = web.post("/v1/predictions", content=jpeg(8), headers={"Idempotency-Key": "x"})
    assert answer.status_code == 202
    images = [("images", (f"{n}.jpg", jpeg(n % 7, mark=n // 2))) for n in range(40)]
    batch = web.post(
        "/v1/batches", params={"webhook": webhook}, files=[*images, ("images", ("x.jpg", b"x"))]
    ).json()["id"]
    assert ended(web, batch, wait_s=30) == "succeeded"
    assert web.post(f"/v1/batches/{batch}/retry").status_code in (202, 410)
    opened = web.post("/v1/batches", json={"open": True}).json()["id"]
    assert web.post(f"/v1/batches/{opened}/images", files=images[:3]).status_code == 200
    assert web.get(f"/v1/batches/{opened}/images").status_code == 200
    web.post(f"/v1/batches/{opened}/seal")
    assert web.delete(f"/v1/jobs/{opened}").status_code in (200, 410)
    model = web.get("/v1/models").json()["models"][0]["name"]
    assert web.put(f"/v1/models/{model}/aliases/old", json={"version": 1}).status_code == 200
    for path in ("/v1/jobs", "/v1/models", "/jobs", "/"):
        assert web.get(path).status_code == 200
    with web.stream("GET", f"/v1/jobs/{submit(web)}/events") as events:
        events.read()


def use_keys(web: httpx.Client, redis_url: str, data: Path) -> dict[str, str]:
    """Make, use, renew and revoke API keys, and sign in; return what every request needs now."""
    made = subprocess.run(
        [sys.executable, "-m", "api.cli", "keys", "create", "ann", "--scope", "admin", "--json"],
        cwd=ROOT,
        env=clean_environment(PERMAFROST_DATA=str(data), REDIS_URL=redis_url),
        capture_output=True,
        text=True,
        check=True,
    )
    admin = json.loads(made.stdout)
    wait_until(lambda: web.get("/v1/jobs").status_code == 401, within_s=10, what="guarded")
    bearer = {"Authorization": f"Bearer {admin['key']}"}
    order = {"name": "bob", "scopes": ["submit", "read"], "rate": 100}
    bob = web.post("/v1/keys", json=order, headers=bearer).json()
    own = {"Authorization": f"Bearer {bob['key']}"}
    answer = web.post("/v1/predictions", content=jpeg(5), headers={**own, "Prefer": "wait=30"})
    assert answer.json()["status"] == "succeeded", answer.text
    assert [row["id"] for row in web.get("/v1/jobs", headers=own).json()["jobs"]]
    assert web.post(f"/v1/keys/{bob['id']}/renew", headers=bearer).status_code == 200
    assert len(web.get("/v1/keys", headers=bearer).json()["keys"]) == 2
    assert web.delete(f"/v1/keys/{bob['id']}", headers=bearer).status_code == 200
    wait_until(
        lambda: web.get("/v1/jobs", headers=own).status_code == 401, within_s=10, what="revoked"
    )
    origin = {"Origin": str(web.base_url).rstrip("/")}
    assert web.post("/sign-in", data={"key": admin["key"]}, headers=origin).status_code == 303
    assert web.get("/jobs").status_code == 200
    assert web.post("/sign-out", headers=origin).status_code == 303
    assert web.get("/v1/jobs").status_code == 401
    return bearer


def retire(web: httpx.Client, admin: dict[str, str]) -> None:
    """Take the model out of use by force."""
    name = web.get("/v1/models", headers=admin).json()["models"][0]["name"]
    version = f"/v1/models/{name}/versions/1"
    assert web.delete(f"{version}/set-aside", headers=admin).status_code == 200
    answer = web.delete(version, params={"force": "true"}, headers=admin)
    assert answer.status_code == 200, answer.text


def submit(web: httpx.Client) -> str:
    return str(web.post("/v1/predictions", content=jpeg(3)).json()["id"])


def ended(web: httpx.Client, job_id: str, *, wait_s: int = 0) -> str | None:
    """Return how the job ended; one that was forgotten since had ended too."""
    answer = web.get(f"/v1/jobs/{job_id}", params={"wait": wait_s})
    if answer.status_code == 410:
        return "succeeded"
    status = str(answer.json()["status"])
    return status if status in ("succeeded", "failed", "cancelled") else None


def refused_by(guarded: GuardedRedis) -> list[str]:
    """Return what was refused, but the names of libraries."""
    return [line for line in guarded.refused() if " client" not in line]


def test_users_may_not_do_what_an_operator_does(tmp_path: Path) -> None:
    server = GuardedRedis(ACL)
    try:
        for user in ("api", "inference", "freezing", "webhooks"):
            with server.connect(user) as client:
                for command in (
                    *(["CONFIG", "GET", "*"], ["KEYS", "*"], ["FLUSHALL"], ["ACL", "LIST"]),
                    *(["SHUTDOWN"], ["EVAL", "return 1", "0"], ["GET", "another"], ["MONITOR"]),
                    *(["PUBLISH", "another", "x"], ["CLIENT", "LIST"], ["SCRIPT", "FLUSH"]),
                ):
                    with pytest.raises(redis.exceptions.NoPermissionError):
                        client.execute_command(*command)
        with (
            redis.Redis(port=server.port) as nobody,
            pytest.raises(redis.exceptions.AuthenticationError),
        ):
            nobody.ping()
    finally:
        server.remove()


# Commands that every user may run, with what they would do to an API key or a session.
SECRETS = [
    *(["HSET", key("secrets"), "digest", "{}"], ["HGET", key("secrets"), "digest"]),
    *(["HDEL", key("secrets"), "digest"], ["DEL", key("secrets")], ["EXISTS", key("secrets")]),
    *(["HSET", key("api_key", "0123"), "name", "x"], ["HGETALL", key("api_key", "0123")]),
    *(["ZADD", key("api_keys"), "1", "0123"], ["ZRANGE", key("api_keys"), "0", "-1"]),
    *(["SET", key("guarded"), "1"], ["UNLINK", key("guarded")], ["EXISTS", key("guarded")]),
    *(["SET", key("session", "digest"), "x"], ["PEXPIRE", key("session", "digest"), "1"]),
    *(["EXISTS", key("session", "digest")], ["UNLINK", key("session", "digest")]),
    *(["HSET", key("rate", "ann"), "tokens", "1"], ["SET", key("idempotency", "x"), "y"]),
]


def test_no_worker_reads_or_writes_an_api_key_or_a_session() -> None:
    server = GuardedRedis(ACL)
    script = "return redis.pcall(unpack(ARGV))"
    try:
        with server.connect("api") as client:
            made = KeyStore(client).create("ann", frozenset({Scope.ADMIN}))
            session = Sessions(client, 60).begin(digest_of(made.secret))
        for user in ("inference", "freezing", "webhooks"):
            with server.connect(user) as client:
                loaded = client.script_load(script)
                for command in SECRETS:
                    for sent in (command, ["EVALSHA", loaded, "0", *command]):
                        with pytest.raises(redis.exceptions.ResponseError) as refused:
                            client.execute_command(*sent)
                        # It is the key that is refused: the command would not be.
                        assert " key" in str(refused.value), (user, sent, refused.value)
                with pytest.raises(redis.exceptions.NoPermissionError):
                    KeyStore(client).create("mallory", frozenset({Scope.ADMIN}))
        with server.connect("api") as client:
            assert [kept.id for kept in KeyStore(client).all()] == [made.key.id]
            assert KeyStore(client).guarded()
            kept_digest = client.get(key("session", digest_of(session)))
            assert kept_digest == digest_of(made.secret).encode()
    finally:
        server.remove()


def test_the_page_says_of_every_key_whether_workers_need_it() -> None:
    every = {PREFIX + re.sub(r"%s.*", "*", text) for text in TEMPLATES.values()}
    every -= {PREFIX + "*", PREFIX + "ended"}  # the broker's lists of tickets, and a channel
    kept_from = {re.sub(r"(digest|0123|ann|x)$", "*", command[1]) for command in SECRETS}
    for user in ("inference", "freezing"):
        line = next(line for line in ACL.splitlines() if line.startswith(f"user {user} "))
        given = set(re.findall(rf"~({PREFIX}\S+)", line))
        assert given == every - kept_from


# -- what is said of an address -------------------------------------------------------------------

HOST = "127.0.0.1:1"
UNENCODED = [
    f"redis://:{NASTY}@{HOST}/0",
    f"redis://:pa55/wo.rd@{HOST}/0",
    f"redis://:12/34wo.rd@{HOST}/0",
    f"redis://:pa55?wo.rd@{HOST}/0",
    f"redis://:12?wo.rd@{HOST}/0",
    f"redis://:pa55#wo.rd@{HOST}/0",
    f"redis://:12#wo.rd@{HOST}/0",
    "redis://:pa55:wo.rd",
    "pa55wo.rd",
    "http://:pa55wo.rd@host/",
    "unix://:pa55/wo.rd@/tmp/redis.sock",
    "redis://[pa55wo.rd/0",
    "redis://:pa55\nwo.rd@host/0",
]


@pytest.mark.parametrize("url", UNENCODED)
def test_an_address_that_is_cut_in_the_middle_of_a_password_is_refused_without_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="it is not redis://HOST:PORT/DB") as refused:
        check_redis_address(url)
    assert "pa55" not in str(refused.value)
    assert "wo.rd" not in str(refused.value)
    assert shown_address(url) == "the address in REDIS_URL"
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(ValidationError) as invalid:
        Settings()
    assert "pa55" not in str(invalid.value)
    assert "wo.rd" not in str(invalid.value) + repr(invalid.value)


@pytest.mark.parametrize(
    "command",
    [
        ("deploy", "up", "--no-demo"),
        ("celery", "-A", "worker.app", "worker", "-Q", "interactive"),
        ("celery", "-A", "worker.app", "inspect", "ping"),
        ("worker.webhooks",),
        ("gunicorn", "api:create_app()", "--bind", "127.0.0.1:0"),
    ],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize("encoded", [True, False])
def test_no_program_says_a_part_of_a_password(
    tmp_path: Path, command: tuple[str, ...], encoded: bool
) -> None:
    """Neither of one that is cut, nor of a whole one of a Redis that is not there."""
    password = NASTY.replace("x", "0a1b2c3d", 1)
    url = f"redis://someone:{quote(password, safe='') if encoded else password}@{HOST}/0"
    said = output(command, tmp_path, REDIS_URL=url)
    if not encoded:
        assert "REDIS_URL cannot be used (it is not redis://HOST:PORT/DB" in said
    assert_holds_nothing_of(said.replace(str(tmp_path), ""), [password])


def output(command: tuple[str, ...], folder: Path, **environment: str) -> str:
    """Return what a program says in its first seconds, and in all of its logs."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=clean_environment(
            PERMAFROST_DATA=str(folder / "data"), LOG_LEVEL="DEBUG", **environment
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said: str = process.communicate(timeout=4)[0]
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        said = process.communicate()[0]
    logs = [path.read_text(errors="replace") for path in (folder / "data").rglob("*.log")]
    return said + "".join(logs)


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_a_redis_that_does_not_answer_is_named_without_its_user_and_password(scheme: str) -> None:
    password = quote(NASTY, safe="")
    url = f"{scheme}://someone:{password}@{HOST}/0?password=0ther5ecret"
    with pytest.raises(StartError) as refused:
        redis_server.check_external(Settings(redis_url=url))
    assert refused.value.message.startswith(f"Redis at {scheme}://{HOST}/0 does not answer")
    assert_holds_nothing_of(refused.value.message, [NASTY, "0ther5ecret"])


def test_settings_show_no_secret() -> None:
    shown: Any = Settings(redis_url="redis://:s3cret@host:1/0")
    assert "s3cret" not in repr(shown) + str(shown)


# -- certificates ----------------------------------------------------------------------------------


def test_both_clients_check_the_certificate_of_redis(tmp_path: Path) -> None:
    if not tls_executable(tmp_path):
        pytest.skip("no redis-server with TLS: Debian's redis-tools has one")
    server = GuardedRedis(ACL, tls=True)
    try:
        trusting = Settings(redis_url=server.url("inference"))
        with connect(trusting) as client:
            assert client.ping()
        with celery_app(trusting).connection() as broker:
            broker.ensure_connection(max_retries=1, timeout=5)
            channel: Any = broker.default_channel
            assert channel.client.ping()
        strange = Settings(redis_url=server.url("inference").partition("?")[0])  # no authority
        with connect(strange) as client, pytest.raises(redis.exceptions.ConnectionError):
            client.ping()
        with (
            celery_app(strange).connection() as broker,
            pytest.raises(OperationalError, match="certificate verify failed"),
        ):
            broker.ensure_connection(max_retries=1, timeout=5)
    finally:
        server.remove()


def test_celery_is_told_how_to_check_as_redis_py_is() -> None:
    url = "rediss://api:pw@host:6380/2?ssl_ca_certs=/etc/ca.pem&ssl_check_hostname=false"
    assert broker_encryption(Settings(redis_url=url)) == {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": False,
        "ssl_ca_certs": "/etc/ca.pem",
    }
    assert broker_encryption(Settings(redis_url="redis://host:6380/2")) is None
