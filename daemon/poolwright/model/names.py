"""Names interned to small integers, so that samples travel in columns without an object each."""


class NameTable:
    """Append-only table of names; the same order of first sight gives the same numbers."""

    __slots__ = ("_ids", "_names")

    def __init__(self, names: tuple[str, ...] = ()) -> None:
        self._names: list[str] = list(names)
        self._ids: dict[str, int] = {name: i for i, name in enumerate(names)}

    def intern(self, name: str) -> int:
        found = self._ids.get(name)
        if found is None:
            found = self._ids[name] = len(self._names)
            self._names.append(name)
        return found

    def intern_all(self, names: list[str]) -> list[int]:
        """The numbers of many names: one look-up each, which is what a batch has time for."""
        try:
            return list(map(self._ids.__getitem__, names))
        except KeyError:
            return [self.intern(name) for name in names]

    def find(self, name: str) -> int | None:
        """The number of a name already seen, else None."""
        return self._ids.get(name)

    def name(self, number: int) -> str:
        return self._names[number]

    def names(self) -> tuple[str, ...]:
        return tuple(self._names)

    def __len__(self) -> int:
        return len(self._names)
