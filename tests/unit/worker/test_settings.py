"""Settings: where they come from, and that each is documented."""

from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import SecretStr, ValidationError

from worker.settings import Settings, get_settings, variables
from worker.settings_table import is_limit, settings_table, with_limits

ROOT = Path(__file__).resolve().parents[3]
FIELDS = sorted(Settings.model_fields)
NUMBERS = [name for name in FIELDS if Settings.model_fields[name].annotation in (int, float)]

_VALUES: dict[Any, str] = {
    bool: "False",
    int: "1",
    float: "0.5",
    str: "text",
    Path: "/some/where",
}
_OWN_VALUES = {  # of texts that must be of a form
    "redis_url": "redis://somewhere:6380/1",
    "allowed_origins": "https://photos.example",
    "webhook_retries": "1,20,300",
    "webhook_secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz",
}


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_says_what_it_means(name: str) -> None:
    description = Settings.model_fields[name].description
    assert description is not None
    assert description.endswith(".")
    assert "|" not in description, "it would break the table"
    if name.endswith("_s"):
        assert "in seconds" in description
    if name.endswith("_bytes"):
        assert "in bytes" in description


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_has_a_lower_bound(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = variables(name, Settings.model_fields[name])[0]
    monkeypatch.setenv(variable, "-1")
    with pytest.raises(ValidationError):
        Settings()


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_is_read_from_its_variables(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    field = Settings.model_fields[name]
    words = [word for word in get_args(field.annotation) if word != field.default]
    value = words[0] if words else _OWN_VALUES.get(name) or _VALUES[field.annotation]
    for variable in variables(name, field):
        with monkeypatch.context() as environment:
            environment.setenv(variable, value)
            found = getattr(Settings(), name)
            shown = found.get_secret_value() if isinstance(found, SecretStr) else str(found)
            assert shown == value


def test_every_variable_begins_with_permafrost_unless_it_is_a_usual_one() -> None:
    names = {v for name in FIELDS for v in variables(name, Settings.model_fields[name])}
    assert {n for n in names if not n.startswith("PERMAFROST_")} == {"REDIS_URL", "LOG_LEVEL"}


def test_the_limits_in_the_page_on_security_are_those_of_the_settings(
    request: pytest.FixtureRequest,
) -> None:
    page = ROOT / "docs" / "security.md"
    written = page.read_text()
    if request.config.getoption("--write-docs"):
        page.write_text(with_limits(written))
        return
    assert written == with_limits(written), (
        "write it anew: pytest tests/unit/worker/test_settings.py --write-docs"
    )


@pytest.mark.parametrize("name", ["max_image_bytes", "client_rate", "freeze_memory_bytes"])
def test_limits_are_told_by_their_names(name: str) -> None:
    assert is_limit(name)
    assert not is_limit("data")


def test_the_documentation_of_settings_is_up_to_date() -> None:
    written = (ROOT / "docs" / "settings.md").read_text()
    assert written == settings_table(), (
        "write it anew: python -m worker.settings_table > docs/settings.md"
    )


def test_a_relative_data_folder_is_taken_from_the_working_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings().data == tmp_path / "data"
    assert Settings(data=Path("x/../y")).data == tmp_path / "y"


def test_roots_are_separated_by_colons_and_lie_in_the_data_folder_by_default(
    tmp_path: Path,
) -> None:
    settings = Settings(data=tmp_path)
    assert settings.source_roots == (tmp_path / "sources",)
    assert settings.folder_roots == (tmp_path / "folders",)
    assert settings.models_folder == tmp_path / "models"
    settings = Settings(data=tmp_path, sources="/a:/b", folders="/c:")
    assert settings.source_roots == (Path("/a"), Path("/b"))
    assert settings.folder_roots == (Path("/c"),)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().micro_batch = 1  # type: ignore[misc]  # as the test says


def test_a_process_reads_its_settings_once(monkeypatch: pytest.MonkeyPatch) -> None:
    get_settings.cache_clear()
    first = get_settings()
    monkeypatch.setenv("PERMAFROST_MICRO_BATCH", "3")
    assert get_settings() is first
    get_settings.cache_clear()
    assert get_settings().micro_batch == 3
    get_settings.cache_clear()
