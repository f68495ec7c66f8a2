"""Where described files lie, and one of them read for a provider.

`poolwright check` and the daemon have told its mistakes with line and column before; what is told
here is what changed since.
"""

from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from poolwright.actuation.described.mistakes import mistakes
from poolwright.actuation.described.shapes import Api
from poolwright.actuation.target import TargetError
from poolwright.errors import SettingsError


def read_api(folder: Path, ref: str) -> Api:
    """The API that the folder's file of that name describes; SettingsError says what to mend."""
    there = (folder / f"{ref}{suffix}" for suffix in (".yaml", ".yml"))
    path = next((path for path in there if path.is_file()), folder / f"{ref}.yaml")
    try:
        api = Api.model_validate(YAML(typ="safe", pure=True).load(path.read_text("utf-8")))
    except ValidationError as error:
        wrong = "; ".join(map(_told, error.errors(include_input=False)))
        raise SettingsError(f"{path}: {wrong}. Correct the described file.") from None
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        said = str(error).partition("\n")[0]
        raise SettingsError(
            f"{path}: {said}. Correct the pool's `ref`, or write this file; see"
            f" docs/providers/http.md"
        ) from None
    for path_in_file, message, hint in mistakes(api):
        where = ".".join(map(str, path_in_file))
        raise SettingsError(f"{path}: {where}: {message} ({hint}). Correct the described file.")
    return api


def _told(error: ErrorDetails) -> str:
    cause = error.get("ctx", {}).get("error")
    said = f"{cause} ({cause.hint})" if isinstance(cause, TargetError) else error["msg"]
    return f"{'.'.join(map(str, error['loc']))}: {said}"
