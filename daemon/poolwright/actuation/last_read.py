"""What an order rests on where the API has no precondition, or none for the count alone."""

from poolwright.actuation.provider import Conflict


class LastRead:
    """The count that was read last."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._count: int | None = None

    def read(self, count: int) -> None:
        self._count = count

    def check(self, found: int) -> None:
        """Conflict when `found`, just before an order, is another; it holds for one order."""
        last, self._count = self._count, None
        if last is not None and found != last:
            raise Conflict(f"{self._where}: it was {last}, is {found}; somebody else set it")
