"""A training follows the answers that count, and those of a teacher."""

import numpy as np
import pytest


@pytest.mark.filterwarnings("default")
@pytest.mark.slow
def test_a_teacher_is_followed_where_the_label_does_not_count(tmp_path):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed: the extra `train` brings it")
    import keras  # noqa: PLC0415 - TensorFlow

    from tools.training.fit import Plan, fit  # noqa: PLC0415

    # one label, whose answer does not count, and a teacher's two answers
    begun = keras.initializers.Constant(0.5)
    network = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(3, kernel_initializer="zeros", bias_initializer=begun)]
    )
    values = np.ones((4, 2), dtype=np.float32)
    targets = np.tile(np.array([1.0, 0.0, 1.0, 0.0], dtype=np.float32), (4, 1))
    plan = Plan(1, 200, 1, learning_rate=0.05, weight_decay=0.0)
    fit(network, lambda _: [(values, targets)] * plan.steps, plan, tmp_path, "test")
    label, first, second = np.asarray(network(values))[0]
    assert label == pytest.approx(0.5, abs=1e-6)
    assert first > 2
    assert second < -2
