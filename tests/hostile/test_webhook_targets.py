"""Where webhooks may not go, in every spelling, and what a receiver may not do to the sender."""

import asyncio
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import ValidationError

from tests.support.receiver import Receiver
from worker.errors import WebhookError
from worker.settings import Settings
from worker.webhooks.public_addresses import is_public
from worker.webhooks.sending import Attempt, Sender
from worker.webhooks.targets import AllowedHosts, Target, check_addresses

NOBODY = AllowedHosts("")

LOOPBACK = [
    *("https://127.0.0.1/", "https://127.1/", "https://127.0.1/", "https://127.255.255.254/x"),
    *("https://2130706433/", "https://0x7f000001/", "https://0x7F.0.0.1/", "https://0x7f.1/"),
    *(
        "https://017700000001/",
        "https://0177.0.0.1/",
        "https://0177.0.0.01/",
        "https://127.0.0.01/",
    ),
    *("https://0/", "https://0.0.0.0/", "https://00000000.1/", "https://127.0.0.1./"),
    *("https://localhost/", "https://LOCALHOST/", "https://localhost./", "https://a.localhost/"),
    *("https://localhost.localdomain/", "https://[::1]/", "https://[0:0:0:0:0:0:0:1]/"),
    *("https://[::]/", "https://[0000::1]/", "https://[::ffff:127.0.0.1]/"),
    *("https://[::ffff:7f00:1]/", "https://[::127.0.0.1]/", "https://[0:0:0:0:0:ffff:7f00:0001]/"),
    "https://１２７.０.０.１/",  # noqa: RUF001 - full-width digits are the point
    "https://①②⑦.⓪.⓪.①/",
    "https://127。0。0。1/",
    "https://ｌｏｃａｌｈｏｓｔ/",  # noqa: RUF001
    "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/",
    "https://loc\u00adalhost/",  # a soft hyphen, which mapping drops
]
PRIVATE = [
    *("https://10.0.0.1/", "https://10.1/", "https://0x0a000001/", "https://167772161/"),
    *(
        "https://192.168.1.1/",
        "https://0300.0250.1.1/",
        "https://192.168.257/",
        "https://3232235777/",
    ),
    *("https://172.16.0.1/", "https://172.31.255.255/", "https://100.64.0.1/"),
    *("https://169.254.169.254/latest/meta-data/", "https://2852039166/", "https://0xa9fea9fe/"),
    *(
        "https://0251.0376.0251.0376/",
        "https://[::ffff:169.254.169.254]/",
        "https://[fd00:ec2::254]/",
    ),
    *("https://100.100.100.200/", "https://192.0.0.192/", "https://168.63.129.16/"),
    *("https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/"),
    *("https://[fc00::1]/", "https://[fdff::1]/", "https://[fec0::1]/", "https://[ff02::1]/"),
    *("https://224.0.0.1/", "https://239.255.255.250/", "https://255.255.255.255/"),
    *("https://240.0.0.1/", "https://192.0.2.1/", "https://198.51.100.1/", "https://203.0.113.1/"),
    *("https://198.18.0.1/", "https://192.88.99.1/", "https://[2001:db8::1]/", "https://[100::1]/"),
    *("https://[64:ff9b::7f00:1]/", "https://[64:ff9b::127.0.0.1]/", "https://[64:ff9b:1::a00:1]/"),
    *("https://[2002:7f00:1::]/", "https://[2002:a9fe:a9fe::1]/", "https://[2001:0:7f00:1::]/"),
    *("https://[2001::1]/", "https://[2001:10::1]/", "https://[3fff::1]/", "https://[5f00::1]/"),
    "https://[2600::200:5efe:127.0.0.1]/",  # ISATAP
    *("https://metadata/", "https://metadata.google.internal/", "https://redis/", "https://api/"),
    *("https://printer.local/", "https://router.lan/", "https://nas.home.arpa/", "https://x.corp/"),
    *("https://1.0.0.127.in-addr.arpa/", "https://x.onion/", "https://db.intranet/"),
]
ODD = [
    *("http://example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/"),
    *("redis://127.0.0.1:6379/", "unix:///run/redis.sock", "//example.com/", "example.com", ""),
    *("https://", "https:///path", "https://?x", "https:example.com", "https:/example.com"),
    *("https://user@example.com/", "https://user:pw@example.com/", "https://@example.com/"),
    *("https://example.com@127.0.0.1/", "https://127.0.0.1@example.com/"),
    *("https://example.com\\@127.0.0.1/", "https://example.com\\.evil/", "https:\\\\example.com/"),
    *("https://127.0.0.1:443@example.com/", "https://example.com:443:80/", "https://example.com:/"),
    *("https://example.com:0/", "https://example.com:65536/", "https://example.com:22/"),
    *("https://example.com:25/", "https://example.com:6379/", "https://example.com:80/"),
    *("https://example.com:+443/", "https://example.com:４４３/", "https://example.com:0x1bb/"),  # noqa: RUF001
    *("https://exa mple.com/", "https://example.com\t/", "https://example.com/\r\nX: y"),
    *("https://example.com/\nHost: x", " https://example.com/", "https://example.com/\x00"),
    *("https://example%2ecom/", "https://%31%32%37.0.0.1/", "https://example.com%00.evil.com/"),
    *("https://.example.com/", "https://example..com/", "https://example.com../", "https://./"),
    *("https://-example.com/", "https://example-.com/", "https://ex*mple.com/", "https://a,b.com/"),
    *("https://[example.com]/", "https://[::1/", "https://::1/", "https://[127.0.0.1]/"),
    *("https://[::1]]/", "https://[2600::1]x/", "https://256.256.256.256/", "https://1.2.3.4.5/"),
    *("https://1.2.3/", "https://1.2.3.0x4/", "https://08.8.8.8/", "https://8.8.8.8.8/"),
    *("https://example.com/ü", "https://example.com/a b", "https://exam\u202eple.com/"),
    *(
        "https://" + "a" * 64 + ".com/",
        "https://" + "a." * 130 + "com/",
        "https://x.com/" + "y" * 2048,
    ),
    "https://xn--a.com:443/\\",
]


@pytest.mark.parametrize("url", [*LOOPBACK, *PRIVATE, *ODD])
def test_an_address_that_is_not_certainly_public_is_refused(url: str) -> None:
    with pytest.raises(WebhookError) as refused:
        Target.parse(url, NOBODY)
    assert refused.value.message.startswith("webhook")
    assert refused.value.message.endswith(".")
    assert refused.value.message.isprintable()
    assert refused.value.status == 422


def test_the_table_is_as_long_as_the_ways_are_many() -> None:
    assert len({*LOOPBACK, *PRIVATE, *ODD}) > 150


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://example.com", "example.com", 443, "/"),
        ("HTTPS://Example.COM/Path?Query=1#part", "example.com", 443, "/Path?Query=1"),
        ("https://example.com.:8443/x", "example.com", 8443, "/x"),
        ("https://example.com?x=1", "example.com", 443, "/?x=1"),
        ("https://example.com#@127.0.0.1/", "example.com", 443, "/"),
        ("https://bücher.example/", "xn--bcher-kva.example", 443, "/"),
        ("https://8.8.8.8/", "8.8.8.8", 443, "/"),
        ("https://[2600:0::1]/", "2600::1", 443, "/"),
        ("https://a-b.c--d.example/%00", "a-b.c--d.example", 443, "/%00"),
        ("https://127.0.0.1.nip.io/", "127.0.0.1.nip.io", 443, "/"),  # refused when it is resolved
    ],
)
def test_a_public_address_is_read_once_and_in_one_way(
    url: str, host: str, port: int, path: str
) -> None:
    target = Target.parse(url, NOBODY)
    assert (target.host, target.port, target.path) == (host, port, path)
    again = Target.parse(target.url, NOBODY)
    assert again == target


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.com/", "https://example.com/"),
        ("https://example.com/services/T0/B0/secret", "https://example.com/..."),
        ("https://example.com:8443/?token=secret", "https://example.com:8443/..."),
    ],
)
def test_what_may_be_secret_in_an_address_is_not_shown(url: str, shown: str) -> None:
    assert Target.parse(url, NOBODY).shown == shown


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001::2e"]
)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


def test_addresses_of_this_machine_are_not_public(monkeypatch: pytest.MonkeyPatch) -> None:
    public = type("Row", (), {"family": socket.AF_INET, "address": "8.8.4.4"})
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"eth0": [public]})
    assert not is_public(ip_address("8.8.4.4"))
    assert is_public(ip_address("8.8.8.8"))


@pytest.mark.parametrize(
    ("listed", "url", "taken"),
    [
        ("receiver", "http://receiver/x", True),
        ("receiver", "https://receiver:9000/x", True),
        ("receiver:9000", "https://receiver:9000/x", True),
        ("receiver:9000", "https://receiver:9001/x", False),
        ("receiver", "https://other/x", False),
        ("*.svc.internal", "http://hooks.svc.internal/", True),
        ("*.svc.internal", "http://svc.internal/", False),
        ("*.svc.internal", "http://hooks.svc.internal.evil.com/", False),
        ("10.0.0.0/8 fd00::/8", "http://10.1.2.3/", True),
        ("10.0.0.0/8,fd00::/8", "http://[fd00::7]:81/", True),
        ("10.0.0.0/8", "http://11.0.0.1/", False),
        ("10.0.0.5:8080", "http://10.0.0.5:8080/", True),
        ("10.0.0.5:8080", "http://10.0.0.5/", False),
        ("127.0.0.1", "http://127.0.0.1:1/", True),
        ("127.0.0.1", "http://2130706433/", False),
        ("127.0.0.1", "http://[::ffff:127.0.0.1]/", False),
    ],
)
def test_an_operator_may_list_hosts_that_are_private(listed: str, url: str, taken: bool) -> None:
    if taken:
        assert Target.parse(url, AllowedHosts(listed))
    else:
        with pytest.raises(WebhookError):
            Target.parse(url, AllowedHosts(listed))


@pytest.mark.parametrize("listed", ["http://x", "a b@c", "10.0.0.0/33", "x:99999", "*", "[::1"])
def test_a_list_that_cannot_be_read_is_refused_at_the_start(listed: str) -> None:
    with pytest.raises(ValidationError, match="is no name, address or network"):
        Settings(webhook_hosts=listed)


def test_one_private_address_among_public_ones_refuses_all() -> None:
    target = Target.parse("https://example.com/", NOBODY)
    mixed = [ip_address("93.184.215.14"), ip_address("10.0.0.1")]
    with pytest.raises(WebhookError) as refused:
        check_addresses(target, mixed, NOBODY)
    assert "10.0.0.1" not in refused.value.message  # what a private name means is nobody's business
    assert check_addresses(target, mixed[:1], NOBODY) == mixed[:1]


# -- attempts ---------------------------------------------------------------------------------


def send(url: str, allowed: AllowedHosts, *, timeout_s: float = 5.0) -> Attempt:
    with ThreadPoolExecutor(4) as resolvers:
        sender = Sender(allowed, timeout_s, resolvers)
        return asyncio.run(sender.send(url, {"webhook-id": "msg_1"}, b"{}"))


class Resolver:
    """Answers for `socket.getaddrinfo`, each call with the next addresses."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        self.asked.append(host)
        answer = self._answers.pop(0)
        if not answer:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in answer]


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """Listen at loopback, with a certificate for a public name."""
    running = Receiver(tmp_path, "hooks.example.com", "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(running.authority_file))
    yield running
    running.close()


def test_a_name_that_leads_home_is_refused_when_it_is_resolved(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Resolver(["127.0.0.1"]))
    monkeypatch.setattr("worker.webhooks.targets._PORTS", {receiver.port})
    attempt = send(receiver.url(), NOBODY)
    assert (attempt.delivered, attempt.hopeless) == (False, True)
    assert "is not a public host" in attempt.error
    assert receiver.heard == []


def test_an_answer_that_changes_between_check_and_use_changes_nothing(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is asked for once; what is connected to is what was checked."""
    resolver = Resolver(["127.0.0.1"], ["127.0.0.66"], ["127.0.0.66"])
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    monkeypatch.setattr("worker.webhooks.targets._PORTS", {receiver.port})
    attempt = send(receiver.url(), AllowedHosts("127.0.0.1"))
    assert attempt.delivered, attempt
    assert resolver.asked == ["hooks.example.com."]
    assert len(receiver.heard) == 1
    # The next attempt is checked anew, and is the last one.
    attempt = send(receiver.url(), AllowedHosts("127.0.0.1"))
    assert attempt.hopeless
    assert len(receiver.heard) == 1


def test_a_name_that_is_not_known_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Resolver([]))
    attempt = send("https://hooks.example.com/", NOBODY)
    assert (attempt.delivered, attempt.hopeless) == (False, False)
    assert "could not be resolved" in attempt.error


def test_a_resolver_that_hangs_ends_with_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: Any, **__: Any) -> Any:
        time.sleep(2)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)

    async def attempt() -> tuple[Attempt, float]:
        resolvers = ThreadPoolExecutor(1)
        began = time.monotonic()
        sender = Sender(NOBODY, 0.3, resolvers)
        found = await sender.send("https://hooks.example.com/", {}, b"{}")
        took = time.monotonic() - began
        resolvers.shutdown(wait=False)
        return found, took

    found, took = asyncio.run(attempt())
    assert "did not answer within 0.3 s" in found.error
    assert took < 1.8


def test_a_certificate_of_another_name_or_authority_is_refused(
    tmp_path: Path, receiver: Receiver
) -> None:
    attempt = send(f"https://localhost:{receiver.port}/status/200", AllowedHosts("localhost"))
    assert attempt.error.startswith("The receiver's certificate is not valid: Hostname mismatch")
    stranger = Receiver(tmp_path, "127.0.0.1", trusted=False)
    try:
        attempt = send(stranger.url(), AllowedHosts("127.0.0.1"))
    finally:
        stranger.close()
    assert attempt.error.startswith("The receiver's certificate is not valid: ")
    assert not attempt.delivered
    assert stranger.heard == receiver.heard == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(receiver: Receiver, status: int) -> None:
    attempt = send(receiver.url(f"/redirect/{status}"), AllowedHosts("*.example.com 127.0.0.1"))
    # The name has no address here; the redirect is met at the address.
    url = f"https://127.0.0.1:{receiver.port}/redirect/{status}"
    attempt = send(url, AllowedHosts("127.0.0.1"))
    assert attempt.error == (
        f"The receiver answered with a redirect ({status}), which is not followed."
    )
    assert [one.path for one in receiver.heard] == [f"/redirect/{status}"]


@pytest.mark.parametrize(
    ("path", "delivered", "says"),
    [
        ("/status/204", True, ""),
        ("/flood", True, ""),  # its status was all that counts
        ("/bomb", True, ""),
        ("/status/500", False, "answered 500"),
        ("/status/410", False, "answered 410"),
        ("/headers", False, "more than 64 KiB"),
        ("/continue", False, "more than 64 KiB"),
        ("/nonsense", False, "or did not answer as HTTP says"),
        ("/closed", False, "closed the connection"),
        ("/silent", False, "did not answer within 1.5 s"),
        ("/drip", False, "did not answer within 1.5 s"),
    ],
)
def test_whatever_a_receiver_does_an_attempt_ends_soon_and_small(
    receiver: Receiver, path: str, delivered: bool, says: str
) -> None:
    memory = psutil.Process().memory_info().rss
    began = time.monotonic()
    url = f"https://127.0.0.1:{receiver.port}{path}"
    attempt = send(url, AllowedHosts("127.0.0.1"), timeout_s=1.5)
    assert (attempt.delivered, says in attempt.error) == (delivered, True), attempt
    assert time.monotonic() - began < 10
    assert psutil.Process().memory_info().rss - memory < 40e6


def test_a_receiver_that_asks_for_a_pause_gets_it(receiver: Receiver) -> None:
    allowed = AllowedHosts("127.0.0.1")
    base = f"https://127.0.0.1:{receiver.port}/status"
    assert send(f"{base}/429/120", allowed).pause_s == 120
    assert send(f"{base}/503/99999999", allowed).pause_s == 24 * 3600
    assert send(f"{base}/503/soon", allowed).pause_s == 0


def test_neither_proxies_nor_cookies_nor_a_port_that_is_closed(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    url = f"https://127.0.0.1:{receiver.port}/status/200"
    assert send(url, AllowedHosts("127.0.0.1")).delivered
    assert send(url, AllowedHosts("127.0.0.1")).delivered
    assert all("cookie" not in one.headers for one in receiver.heard)
    assert receiver.heard[0].headers["host"] == f"127.0.0.1:{receiver.port}"
    attempt = send("https://127.0.0.1:1/", AllowedHosts("127.0.0.1"))
    assert attempt == Attempt(False, "The receiver could not be reached.")
