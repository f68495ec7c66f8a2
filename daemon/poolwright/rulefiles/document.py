"""YAML as plain values that remember their places: people mend files by line and column."""

from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from poolwright.errors import Problem

Path = tuple[str | int, ...]
Place = tuple[int, int]


@dataclass(slots=True)
class Document:
    file: str
    lines: list[str] = field(default_factory=list)
    value: Any = None
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    text_starts: dict[Path, Place] = field(default_factory=dict)
    """Where a scalar's own text begins: after a quote, on the line after a block's `|`."""
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Nearest known place: a missing key is shown at what lacks it."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (1, 1))

    def add(self, path: Path, message: str, hint: str = "", *, key: bool = False) -> None:
        line, column = self.place(path, key=key)
        self.problems.append(Problem(self.file, line, column, message, hint))

    def _take(self, node: Node, path: Path, above: frozenset[int]) -> Any:
        self.values[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if id(node) in above:
            self.add(path, "an alias refers to what contains it", "write the value out")
            return None
        above |= {id(node)}
        if isinstance(node, SequenceNode):
            return [self._take(item, (*path, i), above) for i, item in enumerate(node.value)]
        if isinstance(node, MappingNode):
            return self._take_mapping(node, path, above)
        return self._take_scalar(node, path) if isinstance(node, ScalarNode) else None

    def _take_mapping(self, node: MappingNode, path: Path, above: frozenset[int]) -> dict[str, Any]:
        taken: dict[str, Any] = {}
        for key, value in node.value:
            place = (key.start_mark.line + 1, key.start_mark.column + 1)
            if not isinstance(key, ScalarNode):
                self.problems.append(Problem(self.file, *place, "a key must be plain text"))
                continue
            name = str(key.value)
            if name in taken:
                first = self.keys[(*path, name)][0]
                hint = f"first given in line {first}; keep one"
                self.problems.append(Problem(self.file, *place, f"duplicate key `{name}`", hint))
                continue
            self.keys[(*path, name)] = place
            taken[name] = self._take(value, (*path, name), above)
        return taken

    def _block_start(self, line: int) -> Place:
        first = self.lines[line] if line < len(self.lines) else ""
        return line + 1, len(first) - len(first.lstrip(" ")) + 1

    def _take_scalar(self, node: ScalarNode, path: Path) -> Any:
        line, column = self.values[path]
        block = node.style in ("|", ">")
        quoted = node.style in ("'", '"')
        self.text_starts[path] = self._block_start(line) if block else (line, column + int(quoted))
        text = str(node.value)
        try:
            match str(node.tag).rsplit(":", 1)[-1]:
                case "int":
                    return int(text.replace("_", ""), 0 if text[:2] in ("0x", "0o") else 10)
                case "float":
                    return float(
                        text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan")
                    )
                case "bool":
                    return text.lower() == "true"
                case "null":
                    return None
                case _:
                    return text
        except ValueError:
            self.add(path, f"`{text}` is not a number")
        return text


def read(file: str, text: str) -> Document:
    document = Document(file, text.split("\n"))
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        tab = "\t" in (text.splitlines() or [""])[min(line, len(text.splitlines())) - 1]
        hint = "indent with spaces, YAML allows no tabs" if tab else "check quotes and indentation"
        message = f"not valid YAML: {error.problem or error.context}"
        document.problems.append(Problem(file, line, column, message, hint))
    except (YAMLError, ValueError, RecursionError, IndexError, AttributeError) as error:
        first = str(error).partition("\n")[0]
        document.problems.append(Problem(file, 1, 1, f"not valid YAML: {first}"))
    else:
        if isinstance(node, Node):
            try:
                document.value = document._take(node, (), frozenset())  # noqa: SLF001  its builder
            except RecursionError:
                document.problems.append(Problem(file, 1, 1, "nested too deeply"))
        else:
            document.problems.append(Problem(file, 1, 1, "the file is empty"))
    return document
