"""What is wrong with a setting, in one sentence, without what is secret in it."""

import os

from pydantic import SecretStr, ValidationError

from worker.errors import PermafrostError
from worker.settings import Settings
from worker.settings_table import variables


class SettingError(PermafrostError):
    """An environment variable does not hold what its setting takes."""

    code = "bad_setting"

    @classmethod
    def of(cls, error: ValidationError) -> "SettingError":
        """Return the first thing that pydantic found wrong."""
        wrong = error.errors(include_url=False)[0]
        place = str(wrong["loc"][0]) if wrong["loc"] else ""
        field = Settings.model_fields.get(place.lower().removeprefix("permafrost_"))
        names = [place]
        if field is not None:
            names = variables(place, field)
        name = next((one for one in names if one in os.environ), names[0])
        reason = wrong["msg"].removeprefix("Value error, ")
        secret = field is not None and (field.annotation is SecretStr or not field.repr)
        state = "cannot be used" if secret else f"is {wrong['input']!r}"
        return cls(f"The environment variable {name} {state} ({reason}): correct or unset it.")


def read_settings(**fields: object) -> Settings:
    """Return the settings of the environment, with these fields instead; raise `SettingError`."""
    try:
        return Settings(**fields)  # type: ignore[arg-type]  # whatever a field takes
    except ValidationError as error:
        raise SettingError.of(error) from None
