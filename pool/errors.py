"""Why a lease was not granted: the pool's and the caller's reasons, never the guest's.

`code` is the public code of the HTTP contract; `retryable` says that no guest code ran, so that the same request may
be sent again; `retry_after_s` is when that makes sense.
"""

from __future__ import annotations


class PoolError(Exception):
    """A lease that could not be had. The message carries the pool's numbers."""

    code = "pool_unavailable"
    retryable = True

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class PoolUnavailable(PoolError):
    """Nothing can be leased at present: the pool, the engine or the image is not there."""


class PoolTimeout(PoolError):
    """Nothing became ready within the waiter's deadline."""

    code = "pool_timeout"


class TooManyWaiting(PoolError):
    """The queue is full: refused at once rather than kept waiting in vain."""

    code = "too_many_waiting"


class Draining(PoolError):
    """The pool is shutting down and accepts nothing new."""

    code = "draining"


class UnknownTemplate(PoolError):
    """There is no template of this name."""

    code = "unknown_language"
    retryable = False


BY_CODE: dict[str, type[PoolError]] = {
    error.code: error for error in (PoolUnavailable, PoolTimeout, TooManyWaiting, Draining, UnknownTemplate)
}
