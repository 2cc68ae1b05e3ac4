"""Looks are fine early and late, whatever a step takes."""

import numpy as np
import pytest

from lab.measures.schedule import looks, steps_to


@pytest.mark.parametrize("pace", [0.5, 0.5 / 3, 0.5 / 24])
@pytest.mark.parametrize("end", [0.7, 15.0, 50.0])
def test_looks_are_fine_early_and_end_with_the_run(end, pace):
    steps = np.array(looks(end, pace, spacing=0.1, growth=1.02, also=(1, 10, 50)))
    times = steps * pace
    assert times[0] == 0
    assert end * (1 - 1e-9) <= times[-1] < end + pace
    assert (np.diff(steps) > 0).all()
    early = times <= 5
    assert np.diff(times[early]).max() <= 0.1 + pace + 1e-9
    assert (np.diff(times)[~early[1:]] <= 0.02 * times[1:][~early[1:]] + pace + 1e-9).all()
    assert len(steps) < 200
    for also in (1, 10):
        assert also > end or np.isclose(times, also).any() or np.isclose(times, np.ceil(also / pace) * pace).any()


def test_a_time_that_is_a_whole_number_of_steps_is_that_step():
    assert steps_to([0.3, 0.30001, 0.0], 0.1).tolist() == [3, 4, 0]  # 0.3/0.1 is just below 3 in floating point
    assert steps_to(4.9, 0.7) == 7  # and 4.9/0.7 just above 7
    assert looks(0.01, 1.0, spacing=0.1, growth=1.02) == (0, 1)
