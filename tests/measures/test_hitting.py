import math

import numpy as np
import pytest

import lab
from lab.kernels.spectrum import Spectrum
from lab.measures import hitting
from tests.tolerances import EXACT


@pytest.mark.parametrize("steps", [1, 7, 200])
def test_the_linear_models_motion_in_closed_form(steps):
    task = lab.tasks.separable(8, 4, 5, 6)
    network = lab.ElmanRNN.like(task, 12, trained=("W", "B"))
    jacobian = network.jacobian(task.train_inputs).keep()
    spectrum = Spectrum(jacobian.gram())
    rate, targets = 1 / spectrum.lambda_max, task.train_targets
    model = lab.LinearizedNetwork(jacobian, network.trained)
    for _ in range(steps):
        outputs, at = model.evaluate(None)
        at.add_pull(model.parameters, outputs - targets, -rate)
    expected = math.sqrt(sum(float(part.square().sum()) for part in model.motion.values()))
    residual = (jacobian.outputs - targets).numpy()
    assert hitting.linear_motion(spectrum, residual, rate, np.array([steps]))[0] == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize("fraction", [0.1, 0.4])
def test_the_hitting_time_of_one_mode(fraction):
    spectrum, share = Spectrum(np.diag([3.0])), 0.01
    rate = 2 * fraction / 3
    steps = math.floor(math.log(math.sqrt(share)) / math.log(1 - 3 * rate)) + 1
    assert hitting.hitting_time(spectrum, np.array([2.0]), rate, share) == pytest.approx(steps * fraction, rel=EXACT)


def test_the_hitting_time_hardly_depends_on_the_rate_and_may_be_never():
    spectrum, residual = Spectrum(np.diag([1.0, 0.1])), np.ones(2)
    times = [hitting.hitting_time(spectrum, residual, rate, 0.01) for rate in (0.01, 0.2, 1.9, 30.0)]
    assert times == pytest.approx([times[0]] * 4, rel=0.1)
    assert times[2] == times[3], "rates above 1/λ_max are replaced by it"
    assert hitting.hitting_time(Spectrum(np.diag([1.0, 0.0])), residual, 0.5, 0.4) is None
