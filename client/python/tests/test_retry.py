"""The rules of client/retry.h, with the numbers of its own test."""

import pytest

from varserve import InvalidArgumentError, ResourceExhaustedError, UnavailableError, VarserveError
from varserve.errors import _ERRORS
from varserve.retry import retry_wait


def test_trying_again_helps_only_where_the_server_is_not_there() -> None:
    for code, error in _ERRORS.items():
        assert (retry_wait(error("why"), 0, 0) is not None) == (code == "UNAVAILABLE")
    assert retry_wait(InvalidArgumentError("queue: full", retry_delay=1), 0, 0) is None
    assert retry_wait(VarserveError("why", code="DATA_LOSS"), 0, 0) is None


@pytest.mark.parametrize("error", [ResourceExhaustedError, UnavailableError])
@pytest.mark.parametrize("retries", [0, 7])
def test_the_wait_is_the_servers_time_or_somewhat_more(error: type[VarserveError], retries: int) -> None:
    asked = error("queue: full", retry_delay=10)
    assert retry_wait(asked, retries, 0) == 10
    assert retry_wait(asked, retries, 0.5) == 12.5
    assert retry_wait(asked, retries, 0.999) < 15


def test_the_wait_doubles_where_the_server_names_none() -> None:
    error = UnavailableError("draining")
    waits = [retry_wait(error, retries, 0.5) for retries in (0, 1, 5, 6, 31, 32, 2_000_000_000)]
    assert waits == pytest.approx([0.5, 1, 16, 16, 16, 16, 16])
    assert retry_wait(error, 0, 0) == pytest.approx(0.4)
    assert retry_wait(error, 0, 0.999) < 0.6
