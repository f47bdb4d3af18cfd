"""Linear algebra on one thread: what is set is what it was afterwards."""

import numpy as np
import pytest
import scipy.linalg
from threadpoolctl import threadpool_info, threadpool_limits

from jaxcompress.search.one_thread import one_thread
from jaxcompress.search.predicted import predicted


def threads() -> list[int]:
    assert scipy.linalg  # which brings a library of its own
    return [info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"]


def test_there_is_one_thread_within_and_as_many_as_before_after_it() -> None:
    with threadpool_limits(3, user_api="blas"):
        within = one_thread(threads)()
        assert within == [1] * len(within) and len(within) > 0
        assert threads() == [3] * len(within)


def test_there_are_as_many_as_before_after_an_error() -> None:
    @one_thread
    def fails() -> None:
        raise ValueError("as it should")

    with threadpool_limits(3, user_api="blas"):
        with pytest.raises(ValueError, match="as it should"):
            fails()
        assert set(threads()) == {3}


def test_predictions_have_the_same_bits_on_any_number_of_threads() -> None:
    """Of matrices large enough for several."""
    rng = np.random.default_rng(0)
    genotypes = rng.integers(0, 8, (300, 12)).astype(np.int32)
    wrong = rng.random((300, 400)) < rng.random((300, 1))
    told = []
    for count in (1, 2):
        with threadpool_limits(count, user_api="blas"):
            own = genotypes[:20], wrong[:20, :100], genotypes[20:], wrong[20:]
            told.append(predicted(*own).mean)
    np.testing.assert_array_equal(*told)
