"""Which hosts a request may name, and from which pages what changes something may come."""

from typing import Any

import pytest
from pydantic import ValidationError

from api.access.origin_policy import OriginPolicy, RequestHead
from worker.errors import PermafrostError
from worker.settings import Settings

SETTINGS = Settings(
    allowed_hosts="Photos.example, *.lan.example", allowed_origins="https://app.example:443"
)


def refused(settings: Settings = SETTINGS, /, **head: Any) -> str | None:
    """Return the code with which a request is refused, or None."""
    try:
        OriginPolicy(settings).check(
            RequestHead(**{"method": "POST", "hosts": ["localhost:8000"], **head})
        )
    except PermafrostError as error:
        return error.code
    return None


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8000", "LOCALHOST", "localhost.", "127.0.0.1", "127.3.4.5:80"),
        *("[::1]", "[::1]:8000", "192.0.2.7", "[2001:db8::7]:443", "10.1.2.3:8000"),
        *("photos.example", "PHOTOS.example:443", "photos.example.:8000", "a.b.lan.example"),
    ],
)
def test_names_of_this_machine_addresses_and_what_is_set_are_hosts(host: str) -> None:
    assert refused(hosts=[host]) is None


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.test",
            "evil.test:8000",
            "localhost.evil.test",
            "127.0.0.1.evil.test",
            "lan.example",
        ),
        *("evillan.example", "xphotos.example", "photos.example.evil.test", "0x7f.1", "2130706433"),
        *("127.1", "localhost1", "api", "a.localhost"),
    ],
)
def test_other_names_are_not(host: str) -> None:
    assert refused(hosts=[host]) == "host_not_allowed"
    assert refused(hosts=["localhost", host]) == "host_not_allowed"
    assert refused(hosts=[host], method="GET") == "host_not_allowed"
    assert refused(Settings(allowed_hosts="*"), hosts=[host]) in (None, "invalid_request")


@pytest.mark.parametrize(
    "host",
    [
        *("localhost:", "localhost:99999", "localhost:x", "user@localhost", "localhost/x", "a b"),
        *(
            "localhost,evil.test",
            "::1",
            "[::1",
            "[localhost]",
            "localhost\x00",
            "bücher",
            "h:1:2",
            "*",
        ),
    ],
)
def test_what_is_no_host_is_refused_even_where_all_names_are_allowed(host: str) -> None:
    if host != "localhost:":  # RFC 3986 allows a port that is empty
        assert refused(Settings(allowed_hosts="*"), hosts=[host]) == "invalid_request"


def test_a_host_must_be_named_since_http_1_1() -> None:
    assert refused(hosts=[""]) == "invalid_request"
    assert refused(hosts=[""], version=(1, 0)) is None


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8000", "http://localhost:8000"),
        ("localhost:8000", "https://localhost:8000"),  # a proxy takes the TLS off
        ("127.0.0.1", "http://127.0.0.1"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("photos.example", "https://photos.example"),
        ("photos.example:443", "https://photos.example"),
        ("Photos.Example", "https://photos.example"),
        ("localhost:8000", "https://app.example"),  # is allowed by its setting
    ],
)
def test_pages_of_the_same_origin_may_send(host: str, origin: str) -> None:
    assert refused(hosts=[host], origin=origin) is None
    assert refused(hosts=[host], origin=origin, fetch_site="same-origin") is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "ANYTHING"])
@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8000", "http://localhost:3000"),
        ("localhost:8000", "http://127.0.0.1:8000"),
        ("localhost:8000", "http://evil.test"),
        ("localhost:8000", "null"),
        ("localhost:8000", ""),
        ("localhost:8000", "http://localhost"),
        ("localhost", "http://localhost:8000"),
        ("localhost:8000", "ftp://localhost:8000"),
        ("localhost:8000", "http://localhost:8000.evil.test"),
        ("localhost:8000", "http://localhost:8000@evil.test"),
        ("localhost:8000", "http://localhost:8000, http://evil.test"),
        ("localhost:8000", "chrome-extension://localhost:8000"),
        ("photos.example", "https://photos.example:8443"),
        ("localhost:8000", "https://app.example:8443"),
        ("localhost:8000", "http://app.example"),
    ],
)
def test_pages_of_other_origins_may_not(method: str, host: str, origin: str) -> None:
    assert refused(hosts=[host], origin=origin, method=method) == "foreign_origin"
    for safe in ("GET", "HEAD", "OPTIONS"):
        assert refused(hosts=[host], origin=origin, method=safe) is None


def test_what_the_browser_says_of_the_page_counts_without_an_origin_too() -> None:
    for site in ("cross-site", "same-site", "Cross-Site"):
        assert refused(fetch_site=site) == "foreign_origin"
        assert refused(fetch_site=site, origin="http://localhost:8000") == "foreign_origin"
        assert refused(fetch_site=site, origin="https://app.example") is None
        assert refused(fetch_site=site, method="GET") is None
    for ours in ("same-origin", "none", None):
        assert refused(fetch_site=ours) is None


def test_a_trusted_proxy_tells_the_scheme_and_the_host_that_the_browser_sees() -> None:
    behind = ["10.0.0.2:8000", "photos.example"]
    assert refused(hosts=behind, scheme="https", origin="https://photos.example") is None
    assert refused(hosts=behind, scheme="https", origin="http://photos.example")
    assert refused(hosts=["10.0.0.2", "evil.test"], origin="http://evil.test") == "host_not_allowed"


@pytest.mark.parametrize("hosts", ["http://a", "a:80", "*.*", "a b", "a/b", "*a.example", "."])
def test_what_is_no_name_is_refused_at_the_start(hosts: str) -> None:
    with pytest.raises(ValidationError, match="no name of a host"):
        Settings(allowed_hosts=hosts)


@pytest.mark.parametrize("origins", ["*", "null", "a.example", "https://a/", "https://a/b"])
def test_what_is_no_origin_is_refused_at_the_start(origins: str) -> None:
    with pytest.raises(ValidationError, match="no origin"):
        Settings(allowed_origins=origins)
