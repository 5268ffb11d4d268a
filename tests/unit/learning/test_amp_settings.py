"""AMP's configuration: checked before an environment exists, each mistake with one clear line."""

import copy

import pytest
from make_agent import CONFIG, NETWORK

from amp_train.errors import ConfigError
from amp_train.learning import check_batch_sizes, check_params
from amp_train.learning.settings import AmpSettings, _nearest_divisor


def config(**changes):
    return dict(CONFIG, **changes)


def test_keys_of_our_own_default_to_the_reference():
    settings = AmpSettings.from_config(CONFIG)
    assert settings.disc_loss == "bce"
    assert settings.disc_learning_rate is None and settings.advantage_clip is None
    assert settings.normalize_amp_input and not settings.mixed_precision


def test_numbers_that_yaml_read_as_text_are_numbers():
    assert AmpSettings.from_config(config(disc_learning_rate="5e-5")).disc_learning_rate == 5e-5


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("disc_coef", None, "lacks disc_coef"),
        ("disc_coef", -1, "must not be negative"),
        ("amp_batch_size", 0, "at least 1"),
        ("amp_replay_keep_prob", 1.5, "0 to 1"),
        ("disc_grad_penalty", "steep", "must be a number"),
        ("disc_learning_rate", 0.0, "positive"),
        ("advantage_clip", -4, "positive"),
    ],
)
def test_values_that_cannot_be_are_refused(key, value, says):
    with pytest.raises(ConfigError, match=says):
        AmpSettings.from_config(config(**{key: value}))


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("disc_loss", "bcee", "Did you mean 'bce'"),
        ("discriminator", "amq", "Did you mean 'amp'"),
        ("discriminator_settings", {"tau": 1}, "Unknown key of discriminator_settings 'tau'"),
        ("discriminator_settings", "tau", "must be a mapping"),
    ],
)
def test_what_the_discriminator_does_not_know_is_refused(key, value, says):
    with pytest.raises(ConfigError, match=says):
        check_params({"config": config(**{key: value}), "network": copy.deepcopy(NETWORK)})


def test_a_batch_of_whole_minibatches_is_accepted():
    check_batch_sizes(config(num_actors=16, horizon_length=8, minibatch_size=64, amp_minibatch_size=64))
    check_batch_sizes(config(num_actors=16, horizon_length=8, minibatch_size=None, minibatch_size_per_env=4))


def test_a_batch_that_does_not_divide_names_the_nearest_size_that_does():
    with pytest.raises(ConfigError, match=r"16 environments x horizon_length 8 = 128 .* 60\. Nearest that fits: 64"):
        check_batch_sizes(config(num_actors=16, horizon_length=8, minibatch_size=60))


def test_more_discriminator_rows_than_a_minibatch_has_are_refused():
    with pytest.raises(ConfigError, match="amp_minibatch_size 65 exceeds minibatch_size 64"):
        check_batch_sizes(config(amp_minibatch_size=65))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("central_value_config", {"network": {}}),
        ("normalize_rms_advantage", True),
        ("max_steps", 1000),
        ("use_diagnostics", True),
    ],
)
def test_features_that_do_not_go_with_amp_are_refused(key, value):
    params = {"config": config(**{key: value}), "network": copy.deepcopy(NETWORK)}
    with pytest.raises(ConfigError, match=key):
        check_params(params)


def test_parameters_are_checked_without_an_environment():
    assert check_params({"config": config(), "network": copy.deepcopy(NETWORK)}).amp_minibatch_size == 32


def test_the_nearest_size_that_fits_is_found_for_a_batch_of_any_size():
    assert [_nearest_divisor(12, wanted) for wanted in (1, 5, 7, 12, 100)] == [1, 4, 6, 12, 12]
    assert _nearest_divisor(2**36, 2**20 + 1) == 2**20  # trying every number would take an hour
