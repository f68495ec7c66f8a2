"""Settings as commands read them: a wrong one is told by its variable, with exit code 2."""

import os

from pydantic import ValidationError
from pydantic_settings import SettingsError as UnreadableError

from poolwright.errors import SettingsError
from poolwright.redaction import never_show, secrets_in
from poolwright.settings import Settings

MEND = "Correct the environment or the .env file of the working directory; see docs/operations.md."


def read_settings() -> Settings:
    """Raises SettingsError with every wrong variable; values are left out, some are secret.

    What the environment holds of secrets, for whatever client, is never shown from then on.
    """
    never_show(*secrets_in(os.environ))
    try:
        settings = Settings()
    except ValidationError as error:
        wrong = "; ".join(f"{_variable(e['loc'])}: {_lower(e['msg'])}" for e in error.errors())
        raise SettingsError(f"{wrong}. {MEND}") from None
    except UnreadableError as error:
        field = str(error).partition('field "')[2].partition('"')[0]
        what = f"{_variable((field,))}, or one that begins so, is a list or mapping"
        raise SettingsError(f'{what} but no JSON, such as ["a", "b"]. {MEND}') from None
    if settings.kafka.sasl_password is not None:
        never_show(settings.kafka.sasl_password.get_secret_value())
    return settings


def _variable(keys: tuple[str | int, ...]) -> str:
    """The name of its environment variable; what is an entry of a list has its number behind it."""
    prefix = str(Settings.model_config.get("env_prefix"))
    delimiter = str(Settings.model_config.get("env_nested_delimiter"))
    name = prefix + delimiter.join(key.upper() for key in keys if isinstance(key, str))
    return "".join([name, *(f" entry {key + 1}" for key in keys if isinstance(key, int))])


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
