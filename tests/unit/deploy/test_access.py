"""Who is let in by `up`, and that what it writes is for its own user only."""

import stat
from pathlib import Path

import pytest

from deploy.local.access import access_mode
from deploy.local.errors import StartError
from deploy.local.file_permissions import check_own, tighten
from deploy.local.layout import Layout
from deploy.local.options import Options
from worker.loopback import is_loopback
from worker.settings import Settings


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "data")


def access(layout: Layout, host: str, *, open_: bool = False, **settings: str) -> str:
    options = Options(host=host, data=layout.data, open=open_)
    return access_mode(options, layout, Settings(data=layout.data, **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST"])
def test_on_loopback_no_key_is_needed_until_one_is_made(layout: Layout, host: str) -> None:
    assert access(layout, host) == "auto"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1"])  # noqa: S104
def test_others_are_not_let_in_without_a_key(layout: Layout, host: str) -> None:
    with pytest.raises(StartError, match=r"permafrost keys create NAME --scope admin --data"):
        access(layout, host)
    assert not layout.data.exists()
    assert access(layout, host, open_=True) == "open"
    assert access(layout, host, access="open") == "open"
    layout.data.mkdir()
    layout.has_keys.touch()
    assert access(layout, host) == "keys"


def test_who_asks_for_keys_needs_one(layout: Layout) -> None:
    with pytest.raises(StartError, match="PERMAFROST_ACCESS=keys"):
        access(layout, "127.0.0.1", access="keys")


@pytest.mark.parametrize(
    "host", ["", "evil", "127.0.0.1.evil.example", "localhost.evil", "1.2.3.4"]
)
def test_what_only_looks_like_loopback_is_not(host: str) -> None:
    assert not is_loopback(host)


def test_what_others_could_open_is_tightened(layout: Layout) -> None:
    theirs = layout.data / "folders" / "photos"
    theirs.mkdir(parents=True)
    log = layout.logs / "api.log"
    log.parent.mkdir()
    log.write_text("x")
    program = layout.data / "program"
    program.write_text("x")
    for path, mode in ((layout.data, 0o755), (log, 0o644), (program, 0o755), (theirs, 0o755)):
        path.chmod(mode)
    assert tighten(layout) >= 4
    found = [stat.S_IMODE(path.stat().st_mode) for path in (layout.data, log, program, theirs)]
    assert found == [0o700, 0o600, 0o700, 0o755]
    assert tighten(layout) == 0


def test_a_folder_of_everybody_is_not_made_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    with pytest.raises(StartError, match="choose a folder of its own"):
        check_own(tmp_path)
    with pytest.raises(StartError):
        check_own(Path("/"))
    check_own(tmp_path / "new")
