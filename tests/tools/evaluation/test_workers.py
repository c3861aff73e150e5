"""Cases shared among processes: the same results in the same order, and one that dies."""

import os
import time

import pytest
import torch

from snrstream.errors import ConfigurationError
from tools.evaluation import workers

N_CASES = 6


def slow_first(case: tuple[int, torch.Tensor]) -> tuple[int, torch.Tensor, int, int]:
    """Longest for the first, so that results come in another order; one below 0 kills its process."""
    number, image = case
    time.sleep(0.3 * (number <= 0))
    if number < 0:
        os._exit(9)
    return number, 2 * image, os.getpid(), torch.get_num_threads()


def test_results_come_in_the_order_of_their_cases_and_one_that_dies_is_told() -> None:
    cases = [(n, torch.full((2, 2), float(n))) for n in range(N_CASES)]
    here = list(workers.each(slow_first, cases, 1))
    assert {pid for *_, pid, _ in here} == {os.getpid()}
    apart = []
    with pytest.raises(ConfigurationError, match="one of --workers 2 was killed"):
        for result in workers.each(slow_first, [*cases, (-1, torch.ones(1))], 2):  # one pool for both: it takes seconds
            apart.append(result)
    assert [number for number, *_ in apart] == list(range(N_CASES))
    assert all(torch.equal(a[1], b[1]) for a, b in zip(here, apart, strict=True))
    assert os.getpid() not in {pid for *_, pid, _ in apart}
    assert {n_threads for *_, n_threads in apart} == {1}
