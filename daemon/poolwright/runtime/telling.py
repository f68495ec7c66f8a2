"""What of the decisions the log tells: each change, and once that somebody else made one."""

import logging

from poolwright.model.decision import Decision, Reason

log = logging.getLogger("poolwright")


class Told:
    """Remembers what was told, so that a heartbeat does not tell it again."""

    def __init__(self) -> None:
        self._outside: dict[str, int] = {}
        """By pool, the count that somebody else has set."""

    def decided(self, decision: Decision) -> None:
        self._changed_outside(decision)
        if decision.acts:
            log.info(
                "%s %s: %d to %d, because %s (explain %s)",
                decision.outcome,
                decision.pool,
                decision.current,
                decision.desired,
                decision.reason,
                decision.id,
            )

    def _changed_outside(self, decision: Decision) -> None:
        left_at = decision.evidence.get("left_at")
        if not isinstance(left_at, float):
            self._outside.pop(decision.pool, None)
            return
        if self._outside.get(decision.pool) == decision.current:
            return
        self._outside[decision.pool] = decision.current
        alarmed = decision.reason is Reason.CHANGED_OUTSIDE
        log.log(
            logging.WARNING if alarmed else logging.INFO,
            "%s: somebody else set %d replicas, it was left at %g%s (explain %s)",
            decision.pool,
            decision.current,
            left_at,
            "; it is left alone until that is undone or accepted" if alarmed else "",
            decision.id,
        )
