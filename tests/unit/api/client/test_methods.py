"""Both clients have the same methods, described as their operations are."""

import inspect
import re

import pytest

from api.client import (
    AsyncClient,
    Client,
)
from api.client.awaiting import AsyncSession
from api.client.blocking import BlockingSession
from tests.support.system import ROOT

pytestmark = pytest.mark.usefixtures("exact_pauses", "no_proxy")


def methods(kind: type[BlockingSession] | type[AsyncSession], base: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")} - set(dir(base))


def test_both_clients_have_the_methods_that_the_page_names() -> None:
    blocking, awaited = methods(Client, BlockingSession), methods(AsyncClient, AsyncSession)
    page = (ROOT / "docs" / "client.md").read_text()
    table = page.partition("## All methods")[2].partition("## ")[0]
    rows = re.findall(r"^\| [a-z ]+ \| (`.*) \|$", table, re.MULTILINE)
    assert blocking == awaited == set(re.findall(r"`(\w+)`", "".join(rows)))


def test_a_method_is_described_as_its_operation_is() -> None:
    assert list(inspect.signature(Client.job).parameters) == ["self", "job_id", "wait_s"]
    assert list(inspect.signature(AsyncClient.freeze).parameters)[:2] == ["self", "source"]
    assert str(Client.cancel.__doc__).startswith("Cancel a job")
