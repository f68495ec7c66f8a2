"""CEL conditions, compiled when the file is read so that no typing error waits for an incident."""

import re
from collections.abc import Mapping

from cel_expr_python import cel

from poolwright.model.rule import Condition

_TOKEN = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<name>[A-Za-z_]\w*)"""
    r"""|(?P<number>\d+\.\d*(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+)|(?P<int>\d+)""",
    re.VERBOSE,
)
_PLACE = re.compile(r"<input>:(\d+):(\d+): (.*)")


class ConditionError(ValueError):
    """`line` and `column` are 1-based within the condition's source."""

    def __init__(self, message: str, line: int, column: int, undeclared: str = "") -> None:
        super().__init__(message)
        self.line, self.column, self.undeclared = line, column, undeclared


def _doubles(source: str) -> tuple[str, list[tuple[int, int]]]:
    """Numbers are doubles; also returns where `.0` was put, as (line, rewritten column)."""
    added: list[tuple[int, int]] = []
    out: list[str] = []
    last = 0
    for match in _TOKEN.finditer(source):
        if match.lastgroup == "int":
            out += [source[last : match.end()], ".0"]
            last = match.end()
            so_far = "".join(out)
            line = so_far.count("\n") + 1
            added.append((line, len(so_far) - so_far.rfind("\n") - 1))
    return "".join(out) + source[last:], added


def names_in(source: str) -> frozenset[str]:
    return frozenset(m["name"] for m in _TOKEN.finditer(source) if m.lastgroup == "name")


def compile_condition(source: str, allowed: frozenset[str]) -> Condition:
    rewritten, added = _doubles(source)
    environment = cel.NewEnv(variables=dict.fromkeys(sorted(allowed), cel.Type.DOUBLE))
    try:
        expression = environment.compile(rewritten)
    except RuntimeError as error:
        found = _PLACE.search(str(error))
        line, column, message = (
            (int(found[1]), int(found[2]), found[3]) if found else (1, 1, str(error))
        )
        column -= 2 * sum(1 for at_line, at in added if at_line == line and at < column)
        undeclared = re.search(r"undeclared reference to '(\w+)'", message)
        name = undeclared[1] if undeclared else ""
        text = f"unknown signal `{name}`" if name else message
        raise ConditionError(text, line, max(column, 1), name) from error
    if expression.return_type() != cel.Type.BOOL:
        raise ConditionError("a condition must be true or false, this is not; compare it", 1, 1)

    def evaluate(values: Mapping[str, float]) -> bool | None:
        result = expression.eval(data=dict(values))
        return bool(result.value()) if result.type() == cel.Type.BOOL else None

    return Condition(source, names_in(source) & allowed, evaluate)
