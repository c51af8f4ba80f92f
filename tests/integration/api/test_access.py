"""Hosts and origins on their way through the application, with and without proxies."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from tests.support.api import assert_problem, web_client
from worker.settings import Settings

HOST = "photos.example"


@pytest.fixture
def web(settings: Settings) -> Iterator[FlaskClient]:
    with web_client(settings.model_copy(update={"allowed_hosts": HOST})) as web:
        yield web


@pytest.fixture
def behind(settings: Settings) -> Iterator[FlaskClient]:
    """Return a client of a system that trusts one proxy."""
    update = {"allowed_hosts": HOST, "trusted_proxies": 1}
    with web_client(settings.model_copy(update=update)) as web:
        yield web


def sent(web: FlaskClient, **headers: str) -> int:
    """Return the status of a request that changes something, and that nothing else refuses."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.delete("/v1/nothing", headers=named).status_code


def test_what_nginx_hands_on_with_the_host_needs_no_other_setting(web: FlaskClient) -> None:
    """`proxy_set_header Host $host`, TLS at the proxy."""
    assert sent(web, Host=HOST, Origin=f"https://{HOST}", Sec_Fetch_Site="same-origin") == 404
    assert sent(web, Host=HOST, Origin=f"http://{HOST}") == 404
    assert sent(web, Host=HOST) == 404
    assert sent(web, Host=HOST, Origin="https://evil.test", Sec_Fetch_Site="cross-site") == 403
    assert sent(web, Host="evil.test", Origin="https://evil.test") == 421


def test_a_proxy_that_is_not_trusted_tells_nothing(web: FlaskClient) -> None:
    """`proxy_pass` alone: the Host is the upstream's."""
    host = {"Host": "127.0.0.1:8000", "Origin": f"https://{HOST}"}
    assert sent(web, **host, X_Forwarded_Host=HOST, X_Forwarded_Proto="https") == 403
    assert sent(web, Host="evil.test", X_Forwarded_Host=HOST) == 421


def test_a_trusted_proxy_tells_host_and_scheme(behind: FlaskClient) -> None:
    own = {"Host": "127.0.0.1:8000", "X_Forwarded_Host": HOST, "X_Forwarded_Proto": "https"}
    assert sent(behind, **own, Origin=f"https://{HOST}") == 404
    assert sent(behind, **own, Origin=f"http://{HOST}") == 403
    assert sent(behind, **own, Origin="https://evil.test") == 403
    assert sent(behind, **{**own, "X_Forwarded_Host": "evil.test"}) == 421
    # What a client writes itself stands before what the proxy adds.
    assert sent(behind, **{**own, "X_Forwarded_Host": f"{HOST}, evil.test"}) == 421
    assert sent(behind, Host="evil.test", X_Forwarded_Host=HOST) == 421


@pytest.mark.parametrize("path", ["/", "/jobs", "/v1/jobs", "/healthz", "/metrics", "/nothing"])
def test_every_path_is_for_our_names_only(web: FlaskClient, path: str) -> None:
    answer = web.get(path, headers={"Host": "evil.test"})
    assert_problem(answer, 421, "host_not_allowed")
    assert "PERMAFROST_ALLOWED_HOSTS=evil.test" in answer.get_json()["detail"]
    for host in ("<script>", "a b", "évil", "evil.test\u2028"):
        odd = web.get(path, headers={"Host": host.encode().decode("latin-1")})
        assert odd.status_code == 400
        assert "script" not in odd.get_data(as_text=True) or odd.mimetype != "text/html"


def test_without_host_only_http_1_0_is_served(web: FlaskClient) -> None:
    old = {"HTTP_HOST": "", "SERVER_PROTOCOL": "HTTP/1.0"}
    assert web.get("/healthz", environ_overrides=old).status_code == 200
    new = {"HTTP_HOST": "", "SERVER_PROTOCOL": "HTTP/1.1"}
    assert_problem(web.get("/healthz", environ_overrides=new), 400, "invalid_request")
