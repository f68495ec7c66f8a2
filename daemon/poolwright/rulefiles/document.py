"""YAML as plain values that remember their places: people mend files by line and column."""

from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from poolwright.errors import Problem
from poolwright.rulefiles.yaml_errors import explain, explain_character

Path = tuple[str | int, ...]
Place = tuple[int, int]
"""Line and column, from 1."""


@dataclass(slots=True)
class Document:
    """One file: its value as written, where each part of it stands, and what is wrong with it."""

    file: str
    lines: list[str] = field(default_factory=list)
    value: Any = None
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    text_starts: dict[Path, Place] = field(default_factory=dict)
    """Where a scalar's own text begins: after a quote, on the line after a block's `|`."""
    problems: list[Problem] = field(default_factory=list)
    broken: set[Path] = field(default_factory=set)
    """Parts that have been complained about: what follows from them is no problem of its own."""
    misunderstood: set[Path] = field(default_factory=set)
    """Mappings with an unknown key: what they seem to lack may be what that key was to say."""

    def has(self, path: Path) -> bool:
        """Whether it is written in the file, rightly or wrongly."""
        return path in self.values

    def is_broken(self, path: Path) -> bool:
        """Whether the part, or one that it belongs to, has been complained about."""
        return any(path[:length] in self.broken for length in range(len(path) + 1))

    def has_broken(self, path: Path) -> bool:
        """Whether anything of the part has been complained about."""
        return self.is_broken(path) or any(b[: len(path)] == path for b in self.broken)

    def at(self, path: Path) -> Any:
        """The value as written."""
        value = self.value
        for step in path:
            value = value[step]
        return value

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Nearest known place: a missing key is shown at what lacks it."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (1, 1))

    def where(self, path: Path) -> str:
        """The place as a hint names it: `file:line:column`."""
        line, column = self.place(path)
        return f"{self.file}:{line}:{column}"

    def add(self, path: Path, message: str, hint: str, *, key: bool = False) -> None:
        """A problem of the part, unless it follows from one that is already known."""
        if not self.is_broken(path):
            self.add_at(self.place(path, key=key), message, hint)

    def add_in_text(self, path: Path, offset: int, message: str, hint: str) -> None:
        """As `add`, of one character of a scalar's text."""
        if not self.is_broken(path):
            self.add_at(self._place_in_text(path, offset), message, hint)

    def add_at(self, place: Place, message: str, hint: str) -> None:
        self.problems.append(Problem(self.file, *place, message, hint))

    def rename(self, path: Path, new: str) -> None:
        """Read a key as another; its places go with it."""
        parent = self.at(path[:-1])
        parent[new] = parent.pop(path[-1])
        for places in (self.values, self.keys, self.text_starts):
            for old in [p for p in places if p[: len(path)] == path]:
                places[(*path[:-1], new, *old[len(path) :])] = places.pop(old)

    def _place_in_text(self, path: Path, offset: int) -> Place:
        """Quotes, escapes and folded lines make the file's text longer than the value.

        What is not white space comes in the same order in both, so the file's text is followed
        from one such character of the value to the next.
        """
        text = str(self.at(path))
        line, column = self.text_starts.get(path, self.place(path))
        row, at = line - 1, column - 1
        upto = offset + 1 if text[offset : offset + 1].strip() else offset
        for character in "".join(text[:upto].split()):
            while row < len(self.lines) and (found := self.lines[row].find(character, at)) < 0:
                row, at = row + 1, 0
            if row >= len(self.lines):
                return line, column
            at = found + 1
        # `at` is behind the last character that was looked for: the one meant, or that before it.
        return row + 1, at if upto > offset else at + 1

    def _take(self, node: Node, path: Path, above: frozenset[int]) -> Any:
        self.values[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if id(node) in above:
            self.add(path, "an alias refers to what contains it", "write the value out")
            self.broken.add(path)
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
                hint = "put text such as {{ … }} in quotes, or write a name before the colon"
                self.add_at(place, "a key must be plain text", hint)
                self.broken.add(path)
                continue
            name = str(key.value)
            if name == "<<":
                hint = "copy the keys to here; YAML 1.2 has no merging"
                self.add_at(place, "`<<` does not merge keys", hint)
                self.broken.add(path)
                continue
            if name in taken:
                first = self.keys[(*path, name)][0]
                self.add_at(
                    place, f"duplicate key `{name}`", f"first given in line {first}; keep one"
                )
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
            self.add(path, f"`{text}` is not a number", "write it like 4 or 0.5")
            self.broken.add(path)
        return text


HOW_TO_BEGIN = "begin with apiVersion: poolwright/v1, then service: and pools:; see docs/rules.md"


def read(file: str, text: str, how_to_begin: str = HOW_TO_BEGIN) -> Document:
    """The value of the file's one YAML document, or the first mistake of YAML itself."""
    text = text.removeprefix("\ufeff")
    document = Document(file, text.splitlines())
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        document.add_at(*explain(error, document.lines))
    except ReaderError as error:
        document.add_at(*explain_character(error, text))
    except (YAMLError, ValueError, RecursionError, IndexError, AttributeError) as error:
        first = str(error).partition("\n")[0]
        hint = "remove control characters and what the editor cannot show"
        document.add_at((1, 1), f"not valid YAML: {first}", hint)
    else:
        if isinstance(node, Node):
            try:
                document.value = document._take(node, (), frozenset())  # noqa: SLF001  its builder
            except RecursionError:
                document.add_at((1, 1), "nested too deeply", "write it with fewer levels")
        else:
            document.add_at((1, 1), "the file is empty", how_to_begin)
    return document
