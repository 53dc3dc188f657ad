"""The checks of shapes that run beside all tests (`shape_checks`)."""

import jaxtyping
import numpy as np
import pytest

from gen_tickets import losses


def test_call_with_arrays_that_do_not_fit_raises_type_check_error():
    mean, log_variance = np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32)
    np.testing.assert_array_equal(losses.gaussian_kl(mean, log_variance), [0.0, 0.0])
    with pytest.raises(jaxtyping.TypeCheckError, match="log_variance"):
        losses.gaussian_kl(mean, log_variance[:, :2])
    with pytest.raises(jaxtyping.TypeCheckError, match="mean"):
        losses.gaussian_kl(mean.astype(int), log_variance)
