"""Whether a call that was refused is tried again, and when: the rules of client/retry.h."""

from __future__ import annotations

from varserve.errors import VarserveError

FIRST_BACKOFF = 0.5  # seconds
LONGEST_BACKOFF = 16.0


def retry_wait(error: VarserveError, retries: int, random: float) -> float | None:
    """Seconds to wait before a call that failed with `error`, and was tried again `retries` times already, is made once
    more; None where that cannot help. UNAVAILABLE passes, and so does RESOURCE_EXHAUSTED where the server names a time.

    The time is the server's or up to a half more, else half a second, twice as much each time and at most 16 s, a fifth
    less or more: `random`, in [0, 1), spreads clients that were refused together."""
    delay = error.retry_delay
    if error.code != "UNAVAILABLE" and (error.code != "RESOURCE_EXHAUSTED" or delay is None):
        return None
    if delay is not None:
        return delay * (1 + 0.5 * random)
    return min(FIRST_BACKOFF * (1 << min(retries, 10)), LONGEST_BACKOFF) * (0.8 + 0.4 * random)
