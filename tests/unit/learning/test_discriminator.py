"""The discriminator: three streams, normalised alike; its logits; what of it is saved where."""

import copy
import dataclasses
from types import SimpleNamespace

import pytest
import torch
from make_agent import CONFIG, NETWORK

from amp_train.errors import CheckpointError, ConfigError
from amp_train.learning import AMPBuilder, Discriminator
from amp_train.learning.discriminator import DiscBatch, gradient_penalty
from amp_train.learning.settings import AmpSettings


def make(fetch_demo=lambda n: torch.full((n, 4), 3.0), network=None, kind=Discriminator, **changes):
    settings = dataclasses.replace(AmpSettings.from_config(CONFIG), **changes)
    made = kind(settings, network, 4, SimpleNamespace(fetch_amp_obs_demo=fetch_demo), "cpu")
    made.start_training()
    return made


@pytest.fixture
def network():
    builder = AMPBuilder()
    builder.load(copy.deepcopy(NETWORK))
    return builder.build("a2c", actions_num=2, input_shape=(4,), amp_input_shape=(4,))


@pytest.fixture
def disc():
    return make()


def test_all_three_streams_are_normalised_by_the_same_statistics(disc):
    disc.remember(torch.full((64, 4), 3.0))
    disc.update_normalizer(torch.randn(64, 4))
    batch = disc.batch(torch.full((16, 4), 3.0))
    # The same raw row, 3, is in every stream: it must come out the same, or its statistics would give it away.
    assert torch.equal(batch.agent, batch.replay) and torch.equal(batch.agent, batch.demo)
    assert not torch.equal(batch.agent, torch.full((16, 4), 3.0))


def test_statistics_take_in_as_many_rows_of_every_stream(disc):
    disc.remember(torch.zeros(64, 4))
    disc.update_normalizer(torch.full((50, 4), 6.0))
    # 50 rows each of 6 (agent), 0 (replay), 3 (demonstration), and the initial row of 0: mean 450 / 151.
    torch.testing.assert_close(disc.normalizer.running_mean, torch.full((4,), 450.0 / 151.0, dtype=torch.float64))
    assert disc.normalizer.count.item() == 151


def test_only_demonstrations_require_a_gradient(disc):
    batch = disc.batch(torch.randn(16, 4))
    assert batch.demo.requires_grad and not batch.agent.requires_grad and not batch.replay.requires_grad


def test_the_agents_own_rows_stand_in_for_replay_in_the_first_epoch(disc):
    batch = disc.batch(torch.randn(16, 4))
    assert torch.equal(batch.agent, batch.replay)


def test_everything_is_remembered_until_the_buffer_is_full_and_a_part_of_it_after():
    disc = make(amp_replay_buffer_size=100, amp_replay_keep_prob=0.25)
    disc.remember(torch.zeros(60, 4))
    disc.remember(torch.ones(40, 4))
    assert sum(disc.state_dict()["replay"]["rows"][:, 0]) == 40
    disc.remember(torch.full((80, 4), 2.0))
    kept = (disc.state_dict()["replay"]["rows"][:, 0] == 2.0).sum().item()
    assert 20 - 12 < kept < 20 + 12  # binomial(80, 0.25): standard deviation 3.9


def test_a_keep_probability_of_zero_freezes_a_full_buffer():
    disc = make(amp_replay_buffer_size=10, amp_replay_keep_prob=0.0)
    disc.remember(torch.zeros(10, 4))
    disc.remember(torch.ones(10, 4))
    assert disc.state_dict()["replay"]["rows"].sum() == 0


def test_without_normalisation_observations_pass_as_they_are():
    disc = make(normalize_amp_input=False)
    disc.update_normalizer(torch.randn(50, 4))
    amp_obs = 100.0 * torch.randn(16, 4)
    assert torch.equal(disc.batch(amp_obs).agent, amp_obs)
    assert disc.normalizer.count.item() == 1


def test_fresh_demonstrations_replace_old_ones():
    fetched = iter((1.0, 2.0))
    disc = make(lambda n: torch.full((n, 4), next(fetched)), amp_obs_demo_buffer_size=8)
    assert disc.batch(torch.zeros(64, 4)).demo.unique().numel() == 1
    disc.add_demos(3)
    assert disc.batch(torch.zeros(64, 4)).demo.unique().numel() == 2
    assert disc.batch(torch.zeros(64, 4)).demo.max() > disc.normalize(torch.ones(1)).max()


def test_logit_and_reward_are_of_the_normalised_observation(network):
    disc = make(network=network)
    disc.update_normalizer(2.0 + torch.randn(50, 4))
    amp_obs = torch.randn(5, 7, 4)
    logit = network.eval_disc(disc.normalizer(amp_obs))
    assert torch.equal(disc.logit(amp_obs), logit) and logit.shape == (5, 7, 1)
    torch.testing.assert_close(disc.style_reward(amp_obs), CONFIG["disc_reward_scale"] * torch.log1p(logit.exp()))


def test_the_loss_judges_each_stream_by_the_same_network(network):
    disc, rows = make(network=network), [torch.randn(n, 4) for n in (3, 5, 4)]
    batch = DiscBatch(rows[0], rows[1], rows[2].requires_grad_(True))
    _, scalars = disc.loss(batch)
    agent, demo = network.eval_disc(torch.cat(rows[:2])), network.eval_disc(rows[2])
    torch.testing.assert_close(scalars["disc_agent_logit"], agent.mean())
    torch.testing.assert_close(scalars["disc_demo_logit"], demo.mean())
    torch.testing.assert_close(scalars["disc_grad_penalty"], gradient_penalty(demo, rows[2]))
    assert set(scalars) == set(disc.tensorboard_tags)


def test_the_loss_can_be_differentiated_though_the_penalty_is_a_gradient(network):
    disc = make(network=network)
    disc.loss(disc.batch(torch.randn(16, 4)))[0].backward()
    assert network._disc_mlp[0].weight.grad.abs().sum() > 0


def test_statistics_go_into_the_policy_file_under_the_name_of_isaacgymenvs(disc):
    disc.update_normalizer(torch.randn(50, 4))
    other = make()
    other.load_policy_file_entries({"amp_input_mean_std": disc.policy_file_entries()["amp_input_mean_std"]})
    assert torch.equal(other.normalizer.running_var, disc.normalizer.running_var)
    assert set(disc.statistics()) == {"amp_input_mean_std." + name for name in ("running_mean", "running_var", "count")}
    with pytest.raises(CheckpointError, match="amp_input_mean_std"):
        other.load_policy_file_entries({"amp_input_mean_std": {"count": torch.ones(())}})
    assert make(normalize_amp_input=False).policy_file_entries() == {}


@dataclasses.dataclass
class Own:
    strength: float
    rows: int = 3


class WithSettings(Discriminator):
    settings_class = Own


def test_settings_of_its_own_are_typed_and_checked():
    made = make(kind=WithSettings, discriminator_settings={"strength": "5e-1"})
    assert made.own_settings == Own(0.5, 3)
    for given, says in (({}, "lacks strength"), ({"strength": "x"}, "must be a number"), ({"strenght": 1}, "strength")):
        with pytest.raises(ConfigError, match=says):
            make(kind=WithSettings, discriminator_settings=given)
