"""Bounds that a target has of its own, beside those of the pool's rule."""

from poolwright.actuation.provider import Invalid


def refuse_outside(where: str, count: int, least: tuple[str, int], most: tuple[str, int]) -> None:
    """Invalid for a count that the target would not take; bounds by their names in its API."""
    if least[1] <= count <= most[1]:
        return
    raise Invalid(
        f"{where}: {count} is outside its {least[0]} {least[1]} and {most[0]} {most[1]};"
        f" change these, or the pool's replicas in the rule file"
    )
