"""The options and settings of a local system: as they are shown, and refused."""

from collections.abc import Callable

import pytest

from deploy.local import up as local_up
from deploy.local.errors import StartError
from deploy.local.options import (
    Options,
    parse_host,
    parse_port,
    parse_web_concurrency,
    parse_workers,
)


@pytest.mark.parametrize(
    ("host", "shown", "reached"),
    [
        ("127.0.0.1", "http://127.0.0.1:80", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://0.0.0.0:80", "http://127.0.0.1:80"),  # noqa: S104 - what is tested
        ("::", "http://[::]:80", "http://[::1]:80"),
        ("[::1]", "http://[::1]:80", "http://[::1]:80"),
        ("somewhere.example", "http://somewhere.example:80", "http://somewhere.example:80"),
    ],
)
def test_addresses_are_shown_as_given_and_reached_where_they_listen(
    host: str, shown: str, reached: str
) -> None:
    options = Options(host=parse_host(host), port=80)
    assert (options.url, options.local_url) == (shown, reached)


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [
        (parse_port, "abc", r"--port \(or PORT\) is 'abc': give a whole number from 1 to 65535"),
        (parse_port, "0", "is '0'"),
        (parse_port, "65536", "is '65536'"),
        (parse_port, "-1", "is '-1'"),
        (parse_port, "8000.0", "is '8000.0'"),
        (parse_port, "٨٠", "give a whole number"),
        (parse_workers, "0", "--workers .* is '0': give a whole number from 1"),
        (parse_workers, "many", "is 'many'"),
        (parse_web_concurrency, "0", "WEB_CONCURRENCY is '0'"),
        (parse_host, " ", "--host is empty"),
    ],
)
def test_bad_choices_are_refused_with_a_sentence(
    parse: Callable[[str], object], text: str, said: str
) -> None:
    with pytest.raises(StartError, match=said):
        parse(text)


def test_a_bad_setting_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERMAFROST_MICRO_BATCH", "none")
    with pytest.raises(StartError, match="PERMAFROST_MICRO_BATCH is 'none'"):
        local_up.up(Options())


def test_a_bad_log_level_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "chatty")
    with pytest.raises(StartError, match="LOG_LEVEL is 'chatty': give one of DEBUG, INFO"):
        local_up.up(Options())
