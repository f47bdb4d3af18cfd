"""Training lowers the loss, reaches the accuracy, and leaves its inputs alone."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings, strategies as st

from jaxcompress.config import TrainConfig
from jaxcompress.data import Dataset, Split, load
from jaxcompress.models import as_function, create
from jaxcompress.training.augment import random_shift
from jaxcompress.training.batches import shuffled_batches
from jaxcompress.training.train import accuracy, smoothed_loss, train


def normalised(dataset: Dataset, split: Split):
    return dataset.normalize(split.inputs), split.targets


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load("digits")


@pytest.fixture(scope="module")
def tiny(dataset) -> Dataset:
    first = Split(dataset.train.inputs[:40], dataset.train.targets[:40])
    return replace(dataset, train=first)


def short(epochs: int = 3, learning_rate: float = 1e-2) -> TrainConfig:
    return TrainConfig(epochs=epochs, batch_size=16, learning_rate=learning_rate)


class Dropping(nnx.Module):
    """A linear layer under dropout, whose random state changes in training."""

    def __init__(self, rngs: nnx.Rngs):
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.linear = nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, x):
        return self.linear(self.dropout(x.reshape(len(x), -1)))


def weights(module: nnx.Module) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(as_function(module)[1])]


def test_digits_reach_their_accuracy(dataset):
    module = create("digits_cnn", 0, dataset)
    config = TrainConfig()
    module, history = train(jax.random.key(0), module, dataset, config)
    apply, params = as_function(module)
    assert accuracy(apply, params, *normalised(dataset, dataset.test)) >= 0.975
    assert history.loss.shape == (config.epochs,)
    assert history.loss.dtype == np.float32


def test_a_few_images_are_learnt_and_the_given_module_stays(tiny):
    config = TrainConfig(epochs=25, batch_size=20, label_smoothing=0.0, shift=0)
    module = create("digits_cnn", 0, tiny)
    apply, params = as_function(module)
    assert accuracy(apply, params, *normalised(tiny, tiny.train)) < 0.5
    before = weights(module)
    trained, history = train(jax.random.key(0), module, tiny, config)
    assert history.loss[-1] < 0.1 * history.loss[0]
    for left, right in zip(before, weights(module), strict=True):
        np.testing.assert_array_equal(left, right)
    apply, params = as_function(trained)
    assert accuracy(apply, params, *normalised(tiny, tiny.train)) == 1.0


def test_key_decides(tiny):
    module = Dropping(nnx.Rngs(0))
    runs = [train(jax.random.key(s), module, tiny, short()) for s in (0, 0, 1)]
    np.testing.assert_array_equal(runs[0][1].loss, runs[1][1].loss)
    for left, right in zip(weights(runs[0][0]), weights(runs[1][0]), strict=True):
        np.testing.assert_array_equal(left, right)
    assert (runs[0][1].loss != runs[2][1].loss).all()


def test_one_compilation_serves_all_epochs(tiny):
    traces = []

    class Counting(Dropping):
        def __call__(self, x):
            traces.append(x.shape)
            return super().__call__(x)

    train(jax.random.key(0), Counting(nnx.Rngs(0)), tiny, short())
    assert traces == [(16, 8, 8, 1)]


def test_dropout_is_random_in_training_and_off_afterwards(tiny):
    module = Dropping(nnx.Rngs(0))
    trained, history = train(jax.random.key(0), module, tiny, short(epochs=20))
    assert history.loss[-1] < history.loss[0]
    # 20 epochs of 2 steps, each of which drew a mask.
    assert jax.tree.leaves(nnx.state(trained, nnx.RngCount)) == [40]
    assert jax.tree.leaves(nnx.state(module, nnx.RngCount)) == [0]
    apply, params = as_function(trained)
    x = tiny.normalize(tiny.train.inputs)
    np.testing.assert_array_equal(apply(params, x), apply(params, x))


def test_loss_that_is_not_finite_stops_and_names_the_epoch(tiny):
    config = short(epochs=5, learning_rate=1e38)
    module = create("digits_cnn", 0, tiny)
    with pytest.raises(ValueError, match=r"in epoch \d of 5: .*learning_rate = 1e\+38"):
        train(jax.random.key(0), module, tiny, config)


def test_batch_larger_than_the_split_is_refused(tiny):
    module = create("digits_cnn", 0, tiny)
    with pytest.raises(ValueError, match="batch_size = 64: allowed is at most the 40"):
        train(jax.random.key(0), module, tiny, TrainConfig())


def test_a_last_step_that_is_not_finite_is_refused(tiny):
    @jax.custom_vjp
    def loss(logits, targets):
        return logits.mean()

    loss.defvjp(
        lambda logits, targets: (logits.mean(), logits),
        lambda logits, slope: (jnp.nan * logits, None),
    )
    with pytest.raises(ValueError, match="last step left parameters that are not finite"):
        train(
            jax.random.key(0),
            create("digits_cnn", 0, tiny),
            tiny,
            TrainConfig(epochs=1, batch_size=40),  # one step
            loss,
        )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("weight_decay", -1.0),
        ("label_smoothing", 1.0),
        ("shift", -1),
    ],
)
def test_config_out_of_range_is_refused(field, value):
    with pytest.raises(ValueError, match=field):
        TrainConfig(**{field: value})


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 99))
def test_accuracy_is_the_count_whatever_the_batch_size(n, batch_size, seed):
    random = np.random.RandomState(seed)
    logits = random.normal(size=(n, 3)).astype(np.float32)
    # Label 0 is what the all-zero padding of the last batch would be taken for.
    targets = random.randint(0, 2, n).astype(np.int32)
    expected = np.mean(logits.argmax(-1) == targets)
    found = accuracy(lambda params, x: x * params, 2.0, logits, targets, batch_size)
    assert found == expected


def test_accuracy_compiles_once_for_all_batches_and_calls():
    traces = []

    def apply(params, x):
        traces.append(x.shape)
        return x

    for _ in range(2):
        accuracy(apply, {}, np.eye(10), np.arange(10, dtype=np.int32), batch_size=4)
    assert traces == [(4, 10)]


def test_accuracy_refuses_what_it_cannot_count():
    logits, labels = np.eye(3), np.arange(3, dtype=np.int32)
    with pytest.raises(ValueError, match="3 inputs and 2 targets"):
        accuracy(lambda params, x: x, {}, logits, labels[:2])
    with pytest.raises(ValueError, match="0 inputs and 0 targets"):
        accuracy(lambda params, x: x, {}, logits[:0], labels[:0])
    with pytest.raises(ValueError, match="batch_size = 0"):
        accuracy(lambda params, x: x, {}, logits, labels, batch_size=0)
    logits[1, 2] = np.nan
    with pytest.raises(ValueError, match="logits of 1 of 3 images are NaN"):
        accuracy(lambda params, x: x, {}, logits, labels, batch_size=2)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 99), st.integers(1, 3), st.integers(3, 5))
def test_batches_hold_different_examples(seed, steps, batch_size):
    examples = steps * batch_size + 2
    batches = shuffled_batches(jax.random.key(seed), examples, batch_size)
    assert batches.shape == (steps, batch_size)
    found = np.sort(np.ravel(batches))
    assert (np.diff(found) > 0).all()
    assert found[0] >= 0 and found[-1] < examples


def test_smoothed_loss_is_its_formula():
    logits = jax.random.normal(jax.random.key(0), (7, 5))
    targets = jnp.array([0, 1, 2, 3, 4, 0, 1])
    log = np.asarray(jax.nn.log_softmax(logits), np.float64)
    picked = log[np.arange(7), targets]
    for smoothing in (0.0, 0.1, 0.5):
        expected = -((1 - smoothing) * picked + smoothing * log.mean(-1)).mean()
        found = smoothed_loss(logits, targets, smoothing)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_random_shift_makes_every_shift_and_nothing_else():
    image = np.arange(1, 21, dtype=np.uint8).reshape(4, 5)
    images = np.broadcast_to(image[None, :, :, None], (300, 4, 5, 1))
    shifted = random_shift(jax.random.key(0), jnp.asarray(images), 1)
    padded = np.pad(image, 1)
    expected = {
        padded[row : row + 4, column : column + 5].tobytes()
        for row in range(3)
        for column in range(3)
    }
    assert {np.asarray(one).tobytes() for one in shifted} == expected
    assert shifted.dtype == np.uint8


def test_no_shift_is_the_image_itself():
    images = jnp.arange(12.0).reshape(1, 3, 4, 1)
    np.testing.assert_array_equal(random_shift(jax.random.key(0), images, 0), images)
