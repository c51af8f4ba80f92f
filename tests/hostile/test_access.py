"""Who may do what: requests without a key, with a bad one, with another's, on both ways in."""

import base64
import io
import json
import re
import threading
from collections.abc import Iterator
from http.client import HTTPResponse

import pytest
from flask.testing import FlaskClient

from api.access.permissions import PUBLIC, SCOPES
from api.application import compose
from tests.support.api import assert_problem, photograph, publish, web_client
from tests.support.gunicorn import HOST, Api, connect
from tests.support.polling import wait_until
from worker.credentials.api_key import Scope, new_secret
from worker.credentials.key_store import KeyStore
from worker.jobs.claims import Claims
from worker.jobs.keys import key
from worker.jobs.records import Kind, Lane, Outcome
from worker.jobs.store import JobStore
from worker.jobs.submissions import Submission
from worker.redis.connection import connect as connect_store
from worker.settings import Settings

RESULT = {"predictions": [{"label": "cat", "score": 0.75}, {"label": "dog", "score": 0.25}]}
ALL = frozenset(Scope)


# -- both ways of a prediction ------------------------------------------------------------------


class Keys:
    """Keys of every kind, and the store that knows them."""

    def __init__(self, store: KeyStore) -> None:
        self.store = store
        self.good = store.create("good", frozenset({Scope.SUBMIT}))
        self.admin = store.create("admin", frozenset({Scope.ADMIN}))
        self.reader = store.create("reader", frozenset({Scope.READ, Scope.FREEZE}))
        self.revoked = store.create("revoked", ALL)
        store.revoke(self.revoked.key.id)
        self.expired = store.create("expired", ALL, days=1e-9)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    running = Api(tmp_path_factory.mktemp("access") / "data")
    yield running
    running.remove()


@pytest.fixture(scope="module")
def keys(api: Api) -> Iterator[Keys]:
    """Give keys, and have all predictions answered meanwhile."""
    settings = Settings(redis_url=api.redis.url)
    stop = threading.Event()

    def work() -> None:
        with connect_store(settings) as client:
            claims = Claims(client, settings, "the-test")
            while not stop.wait(0.01):
                if claim := claims.claim([Lane.INTERACTIVE], 8):
                    claims.complete(claim, {i.item: Outcome(result=RESULT) for i in claim.items})

    worker = threading.Thread(target=work)
    worker.start()
    with connect_store(settings) as client:
        yield Keys(KeyStore(client))
    stop.set()
    worker.join()


def send(api: Api, *lines: str, target: str = "/v1/predictions") -> tuple[int, dict[str, object]]:
    image = photograph()
    head = (
        f"POST {target} HTTP/1.1",
        "Host: localhost",
        "Content-Type: image/png",
        "Prefer: wait=10",
        f"Content-Length: {len(image)}",
        *lines,
    )
    with connect(api) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode("latin-1") + image)
        response = HTTPResponse(connection)
        response.begin()
        body = json.loads(response.read())
    if response.status == 401:
        assert str(response.headers["WWW-Authenticate"]).startswith("Bearer")
    return response.status, body


BASIC = base64.b64encode(b"pf_user:pf_password").decode()
TABLE = [
    ("no key", [], 401, "key_required"),
    ("good", ["Authorization: Bearer {good}"], 200, None),
    ("admin", ["Authorization: Bearer {admin}"], 200, None),
    ("scheme in another case", ["authorization: bEARER {good}"], 200, None),
    ("blanks around", ["Authorization: \t Bearer   {good} \t"], 200, None),
    ("reader", ["Authorization: Bearer {reader}"], 403, "scope_missing"),
    ("revoked", ["Authorization: Bearer {revoked}"], 401, "key_unknown"),
    ("expired", ["Authorization: Bearer {expired}"], 401, "key_expired"),
    ("made up", ["Authorization: Bearer {made_up}"], 401, "key_unknown"),
    ("key in capitals", ["Authorization: Bearer {capitals}"], 401, "key_unknown"),
    ("cut", ["Authorization: Bearer {cut}"], 401, "key_unknown"),
    ("longer", ["Authorization: Bearer {good}0"], 401, "key_unknown"),
    ("key only", ["Authorization: {good}"], 401, "key_required"),
    ("empty", ["Authorization:"], 401, "key_required"),
    ("no key after the scheme", ["Authorization: Bearer "], 401, "key_required"),
    ("two keys", ["Authorization: Bearer {good} {good}"], 401, "key_required"),
    ("comma", ["Authorization: Bearer {good},{good}"], 401, "key_unknown"),
    ("twice", ["Authorization: Bearer {good}"] * 2, 401, None),
    ("basic", [f"Authorization: Basic {BASIC}"], 401, "key_required"),
    ("digest of it", ["Authorization: Bearer {digest}"], 401, "key_unknown"),
    ("id of it", ["Authorization: Bearer {id}"], 401, "key_unknown"),
    ("lent name", ["Authorization: Bearer up"], 401, "key_unknown"),
    ("not ASCII", ["Authorization: Bearer {good}\xe9"], 401, "key_unknown"),
    ("another header", ["X-Api-Key: {good}"], 401, "key_required"),
    ("cookie", ["Cookie: permafrost_session={good}"], 401, "key_unknown"),
    ("cookie of nonsense", ["Cookie: permafrost_session=../../x"], 401, "key_required"),
    ("bad key", ["Authorization: Bearer x", "Cookie: permafrost_session=x"], 401, "key_unknown"),
    ("long", ["Authorization: Bearer " + "x" * 6000], 401, "key_unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "status", "code"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])  # fmt: skip # noqa: E501
def test_a_key_lets_in_what_it_allows_and_nothing_else(
    api: Api, keys: Keys, lines: list[str], status: int, code: str | None
) -> None:
    good = keys.good.secret
    words = {
        "good": good,
        "admin": keys.admin.secret,
        "reader": keys.reader.secret,
        "revoked": keys.revoked.secret,
        "expired": keys.expired.secret,
        "made_up": new_secret(),
        "capitals": good.upper(),
        "cut": good[:-1],
        "digest": "0" * 64,
        "id": keys.good.key.id,
    }
    found, body = send(api, *(line.format(**words) for line in lines))
    assert found == status, body
    if code:
        assert body["code"] == code
        assert good not in json.dumps(body)


def test_a_key_in_the_address_is_none(api: Api, keys: Keys) -> None:
    for name in ("api_key", "key", "access_token", "authorization"):
        status, _ = send(api, target=f"/v1/predictions?{name}={keys.good.secret}")
        assert status == 401


def test_a_revoked_key_stops_working_in_every_process(api: Api, keys: Keys) -> None:
    made = keys.store.create("for a while", frozenset({Scope.SUBMIT}))
    bearer = f"Authorization: Bearer {made.secret}"
    assert send(api, bearer)[0] == 200
    assert send(api, bearer, "X-Unknown: long")[0] == 200
    keys.store.revoke(made.key.id)
    wait_until(lambda: send(api, bearer)[0] == 401, within_s=10, what="the key is refused")
    assert send(api, bearer, "X-Unknown: long")[0] == 401


def test_a_renewed_key_works_and_the_old_one_for_its_grace(api: Api, keys: Keys) -> None:
    made = keys.store.create("renewed", frozenset({Scope.SUBMIT}))
    again = keys.store.renew(made.key.id, grace_s=3600)
    last = keys.store.renew(made.key.id, grace_s=3600)
    assert send(api, f"Authorization: Bearer {made.secret}")[0] == 401  # the one before the last
    for secret in (again.secret, last.secret):
        assert send(api, f"Authorization: Bearer {secret}")[0] == 200
    keys.store.revoke(made.key.id)
    for secret in (again.secret, last.secret):
        wait_until(
            lambda s=secret: send(api, f"Authorization: Bearer {s}")[0] == 401,  # type: ignore[misc]
            within_s=10,
            what="it is refused",
        )


# -- who sees what ------------------------------------------------------------------------------


@pytest.fixture
def web(settings: Settings) -> Iterator[FlaskClient]:
    publish(settings)
    with web_client(settings) as client:
        yield client


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}", "Host": HOST}


def test_every_address_says_who_may_use_it(settings: Settings) -> None:
    app = compose(settings)
    try:
        endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}
        assert endpoints == set(SCOPES) | PUBLIC
    finally:
        app.extensions["services"].close()


def test_without_a_key_nothing_is_told(web: FlaskClient, settings: Settings) -> None:
    with connect_store(settings) as client:
        KeyStore(client).create("a", ALL)
        wait_until(lambda: web.get("/v1/jobs").status_code == 401, within_s=5, what="guarded")
    for rule in web.application.url_map.iter_rules():
        path = re.sub(r"<[^>]+>", "1111", rule.rule)
        for method in rule.methods or ():
            with web.open(path, method=method) as answer:
                pass
            if rule.endpoint == "pages.signing_in":  # there is no key in its form
                continue
            if rule.endpoint in PUBLIC:
                assert answer.status_code not in (401, 403, 500), f"{method} {path}"
            else:
                assert answer.status_code == 401, f"{method} {path}"
    assert set(web.get("/readyz").get_json()) == {"status", "reasons"}
    for path in (
        "/./v1/jobs",
        "/v1//jobs",
        "/v1/jobs/",
        "/v1/../v1/jobs",
        "/V1/jobs",
        "/v1/jobs%2f",
    ):
        assert web.get(path).status_code in (308, 401, 404), path


def test_a_job_is_seen_by_its_own_key_and_admins_only(web: FlaskClient, settings: Settings) -> None:
    with connect_store(settings) as client:
        store = KeyStore(client)
        one, two = (store.create(name, ALL - {Scope.ADMIN}) for name in ("one", "two"))
        admin = store.create("admin", frozenset({Scope.ADMIN}))
    wait_until(lambda: web.get("/v1/jobs").status_code == 401, within_s=5, what="guarded")
    mine = web.post("/v1/predictions", data=photograph(), headers=bearer(one.secret)).get_json()
    opened = web.post("/v1/batches", json={"open": True}, headers=bearer(one.secret)).get_json()
    asked = [
        ("get", f"/v1/jobs/{mine['id']}"),
        ("get", f"/v1/jobs/{mine['id']}?wait=1"),
        ("get", f"/v1/jobs/{mine['id']}/events"),
        ("get", f"/jobs/{mine['id']}"),
        ("get", f"/jobs/{mine['id']}/image"),
        ("get", f"/v1/batches/{opened['id']}/results"),
        ("get", f"/v1/batches/{opened['id']}/images"),
        ("post", f"/v1/batches/{opened['id']}/images"),
        ("post", f"/v1/batches/{opened['id']}/retry"),
        ("post", f"/v1/batches/{opened['id']}/seal"),
        ("delete", f"/v1/jobs/{mine['id']}"),
    ]
    for method, path in asked:
        assert_problem(getattr(web, method)(path, headers=bearer(two.secret)), 404, "not_found")
    for path in ("/v1/jobs", "/v1/jobs?limit=1", "/v1/jobs?kind=batch", "/v1/jobs?status=queued"):
        assert web.get(path, headers=bearer(two.secret)).get_json() == {"jobs": [], "next": None}
    for secret in (one.secret, admin.secret):
        listed = web.get("/v1/jobs", headers=bearer(secret)).get_json()["jobs"]
        assert {job["id"] for job in listed} == {mine["id"], opened["id"]}
        assert web.get(f"/v1/jobs/{mine['id']}", headers=bearer(secret)).status_code == 200
    paged = web.get("/v1/jobs?limit=1", headers=bearer(one.secret)).get_json()
    assert paged["next"] == opened["id"]
    assert web.delete(f"/v1/jobs/{mine['id']}", headers=bearer(one.secret)).status_code == 200
    cancelled = web.get("/v1/jobs?status=cancelled", headers=bearer(one.secret)).get_json()
    assert [job["id"] for job in cancelled["jobs"]] == [mine["id"]]


def test_an_idempotency_key_means_nothing_to_others(web: FlaskClient, settings: Settings) -> None:
    with connect_store(settings) as client:
        one, two = (KeyStore(client).create(name, ALL - {Scope.ADMIN}) for name in ("one", "two"))
    wait_until(lambda: web.get("/v1/jobs").status_code == 401, within_s=5, what="guarded")
    ids = {
        web.post(
            "/v1/predictions",
            data=photograph(),
            headers={**bearer(made.secret), "Idempotency-Key": "same"},
        ).get_json()["id"]
        for made in (one, two, one)
    }
    assert len(ids) == 2


def test_an_expired_job_is_gone_to_its_key_and_unknown_to_others(settings: Settings) -> None:
    with connect_store(settings) as client:
        store = JobStore(client, settings)
        job_id = store.accept(
            Submission(kind=Kind.FREEZE, lane=Lane.FREEZING, owner="aaaaaaaaaaaa")
        ).job_id
        client.zadd(key("expired"), {job_id: 1, f"{job_id}:aaaaaaaaaaaa": 1})
        client.delete(key("job", job_id))
        for owner, code in ((None, "expired"), ("aaaaaaaaaaaa", "expired"), ("bbbbbbbbbbbb", "not_found")):  # fmt: skip # noqa: E501
            with pytest.raises(Exception) as caught:  # noqa: PT011 - its code is what counts
                store.get(job_id, owner=owner)
            assert getattr(caught.value, "code", None) == code


def test_admins_make_renew_and_revoke_keys_over_http(web: FlaskClient, settings: Settings) -> None:
    with connect_store(settings) as client:
        admin = KeyStore(client).create("admin", frozenset({Scope.ADMIN}))
    wait_until(lambda: web.get("/v1/jobs").status_code == 401, within_s=5, what="guarded")
    head = bearer(admin.secret)
    made = web.post("/v1/keys", json={"name": "ci", "scopes": ["submit"]}, headers=head)
    assert made.status_code == 201
    assert made.headers["Cache-Control"] == "no-store"
    fresh = made.get_json()
    assert_problem(web.get("/v1/keys", headers=bearer(fresh["key"])), 403, "scope_missing")
    own = web.get("/v1/keys/own", headers=bearer(fresh["key"])).get_json()["key"]
    assert own == {"id": fresh["id"], "name": "ci", "scopes": ["submit"]}
    renewed = web.post(f"/v1/keys/{fresh['id']}/renew", json={"grace_s": 0}, headers=head)
    assert renewed.status_code == 200
    listed = web.get("/v1/keys", headers=head)
    for secret in (admin.secret, fresh["key"], renewed.get_json()["key"]):
        assert secret not in listed.text
    assert web.delete(f"/v1/keys/{fresh['id']}", headers=head).get_json()["state"] == "revoked"
    assert web.post(f"/v1/keys/{fresh['id']}/renew", headers=head).status_code == 409
    for wrong in ({}, {"name": "x"}, {"name": "x", "scopes": []}, {"name": "x", "scopes": ["root"]},
                  {"name": "", "scopes": ["read"]}, {"name": "x\n", "scopes": ["read", 1]},
                  {"name": "x", "scopes": ["read"], "expires_days": -1},
                  {"name": "x", "scopes": ["read"], "rate": "fast"}, [1]):  # fmt: skip
        assert_problem(web.post("/v1/keys", json=wrong, headers=head), 400, "invalid_request")
    for strange in ("x", "..%2f", "a" * 12):
        assert_problem(web.delete(f"/v1/keys/{strange}", headers=head), 404, "not_found")


def test_where_no_key_is_needed_none_can_be_made_by_whoever_comes_along(web: FlaskClient) -> None:
    wanted = {"name": "x", "scopes": ["admin"]}
    assert_problem(web.post("/v1/keys", json=wanted), 403, "scope_missing")
    assert_problem(web.get("/v1/keys"), 403, "scope_missing")
    assert web.post("/keys", data={"name": "x", "scope": "admin"}).status_code == 403
    assert web.get("/v1/keys/own").get_json() == {"key": None}


# -- browsers -----------------------------------------------------------------------------------


def test_a_session_is_new_private_and_ends_with_its_key(
    web: FlaskClient, settings: Settings
) -> None:
    with connect_store(settings) as client:
        made = KeyStore(client).create("ann", ALL - {Scope.ADMIN})
    wait_until(lambda: web.get("/v1/jobs").status_code == 401, within_s=5, what="guarded")
    page = web.get("/jobs?kind=batch", headers={"Accept": "text/html"})
    assert page.status_code == 303
    assert page.headers["Location"] == "/sign-in?next=/jobs?kind%3Dbatch"
    web.set_cookie("permafrost_session", "planted")
    form = {"key": made.secret, "next": "/jobs"}
    answer = web.post("/sign-in", data=form)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/jobs")
    cookie = answer.headers["Set-Cookie"]
    assert "planted" not in cookie
    assert made.secret not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert web.get("/jobs").status_code == 200
    assert web.get("/v1/jobs").status_code == 200
    own = {"Origin": "http://localhost"}
    sent = {"image": (io.BytesIO(photograph()), "a.png")}
    assert web.post("/", data=sent, headers=own).status_code == 303
    for foreign in (
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ):
        assert_problem(
            web.post("/v1/predictions", data=photograph(), headers=foreign), 403, "foreign_origin"
        )
    with connect_store(settings) as client:
        KeyStore(client).revoke(made.key.id)
    wait_until(lambda: web.get("/v1/jobs").status_code == 401, within_s=5, what="signed out")


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "evil",
     "/%0d%0aSet-Cookie: x", "\\\\evil", "/sign-in", "", " //evil", "/\t/evil"],
)  # fmt: skip
def test_signing_in_leads_to_no_other_place(
    web: FlaskClient, settings: Settings, target: str
) -> None:
    with connect_store(settings) as client:
        made = KeyStore(client).create("ann", ALL)
    answer = web.post("/sign-in", data={"key": made.secret, "next": target})
    assert answer.status_code == 303
    where = answer.headers["Location"]
    assert where == "/" or where.startswith("/%0d%0a")
    for wrong in ("", "x", new_secret(), made.secret + "0", "pf_\xe9"):
        refused = web.post("/sign-in", data={"key": wrong, "next": target})
        assert refused.status_code == 401
        assert "Set-Cookie" not in refused.headers


def test_the_cookie_is_for_tls_only_behind_it(settings: Settings) -> None:
    behind = settings.model_copy(update={"trusted_proxies": 1})
    with connect_store(settings) as client, web_client(behind) as web:
        made = KeyStore(client).create("ann", ALL)
        told = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
        answer = web.post("/sign-in", data={"key": made.secret}, headers=told)
        assert "Secure" in answer.headers["Set-Cookie"]
    with connect_store(settings) as client, web_client(settings) as web:
        answer = web.post("/sign-in", data={"key": made.secret}, headers=told)
        assert "Secure" not in answer.headers["Set-Cookie"]
