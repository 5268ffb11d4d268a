"""AMPAgent: one epoch at a time, and the defects of rl_games and IsaacGymEnvs that must not come back."""

import copy

import pytest
import torch
from fake_env import PointMassVecEnv, RandomVecEnv
from make_agent import CONFIG, NETWORK, make_agent, make_params
from no_waiting import NoWaiting
from rl_games.common.algo_observer import DefaultAlgoObserver

from amp_train.errors import ConfigError
from amp_train.learning import AMPAgent
from amp_train.learning.discriminator import style_reward

BATCH = CONFIG["num_actors"] * CONFIG["horizon_length"]
AMP_ROWS = BATCH // CONFIG["minibatch_size"] * CONFIG["amp_minibatch_size"]


def begin(agent):
    """Do what train() does before its first epoch."""
    agent.init_tensors()
    agent.obs = agent.env_reset()
    return agent


def weights(agent):
    return {name: value.clone() for name, value in agent.model.named_parameters()}


class RecordingEnv(PointMassVecEnv):
    """Keeps what every step led to, before the reset."""

    def __init__(self, num_envs, **kwargs):
        super().__init__(num_envs, **kwargs)
        self.reached, self.amp_obs, self.dones, self.terminate = [], [], [], []

    def step(self, actions):
        obs, rewards, dones, infos = super().step(actions)
        self.reached.append(obs.clone())
        self.amp_obs.append(infos["amp_obs"].clone())
        self.dones.append(dones.clone())
        self.terminate.append(infos["terminate"].clone())
        return obs, rewards, dones, infos


class MaskedEnv(PointMassVecEnv):
    """Resets without counting them."""

    def reset_done(self):
        done = self.done.unsqueeze(1)
        self.pos = self.pos.masked_fill(done, 0.0)
        self.vel = torch.where(done, torch.randn(self.num_envs, 2, generator=self._generator), self.vel)
        self.steps = self.steps.masked_fill(self.done, 0)
        return self._observe()


def test_acting_never_waits_for_the_device(tmp_path, monkeypatch):
    agent = begin(make_agent(tmp_path, MaskedEnv(CONFIG["num_actors"], episode_length=5, max_speed=2.0)))
    agent.set_eval()
    games = []
    monkeypatch.setattr(agent, "_keep_finished", games.append)
    with torch.no_grad(), NoWaiting():
        agent.act()
    assert games[0][:, 0].sum() > 0


def test_finished_episodes_are_counted_for_what_they_were_worth(tmp_path):
    env = RecordingEnv(CONFIG["num_actors"], episode_length=5, max_speed=2.0)
    agent = begin(make_agent(tmp_path, env))
    agent.set_eval()
    with torch.no_grad():
        agent.play_steps()
    running, lengths = torch.zeros(env.num_envs), []
    for done in env.dones:  # one reward a step
        running += 1.0
        lengths += running[done.bool()].tolist()
        running[done.bool()] = 0.0
    assert 0 < len(lengths) < agent.games_to_track and len(set(lengths)) > 1
    mean = sum(lengths) / len(lengths)
    meters = (agent.game_lengths, agent.game_rewards, agent.game_shaped_rewards)
    assert [float(meter.mean) for meter in meters] == pytest.approx([mean, mean, mean])
    assert {meter.current_size for meter in meters} == {len(lengths)}
    assert agent.current_lengths.tolist() == running.tolist() == agent.current_rewards.flatten().tolist()


def test_returns_bootstrap_from_the_states_reached_before_any_reset(tmp_path):
    env = RecordingEnv(CONFIG["num_actors"], episode_length=5, max_speed=2.0)  # both kinds of end within one rollout
    agent = begin(make_agent(tmp_path, env, task_reward_w=0.5, disc_reward_w=2.0))
    agent.set_eval()
    with torch.no_grad():
        rollout = agent.play_steps()
    done, terminated = torch.stack(env.dones).float(), torch.stack(env.terminate).float()
    assert (done - terminated).sum() > 0 and terminated.sum() > 0

    # The textbook recursion on what the environment itself recorded.
    next_values = torch.stack([agent.get_values({"obs": obs}).squeeze(-1) for obs in env.reached]) * (1.0 - terminated)
    values = agent.experience_buffer.tensor_dict["values"].squeeze(-1)
    logit = agent.model.a2c_network.eval_disc(torch.stack(env.amp_obs))  # statistics are still 0 and 1
    rewards = 0.5 * 1.0 + 2.0 * style_reward(logit, CONFIG["disc_reward_scale"]).squeeze(-1)
    advantage, expected = torch.zeros(env.num_envs), []
    for t in reversed(range(CONFIG["horizon_length"])):
        delta = rewards[t] + agent.gamma * next_values[t] - values[t]
        advantage = delta + agent.gamma * agent.tau * (1.0 - done[t]) * advantage
        expected.insert(0, advantage + values[t])
    expected = torch.stack(expected).transpose(0, 1).reshape(-1, 1)  # rl_games flattens environment by environment
    torch.testing.assert_close(rollout["returns"], expected, atol=1e-4, rtol=1e-5)  # normalisation divides by 1 + 1e-5


def test_an_epoch_leaves_plain_statistics(tmp_path):
    agent = begin(make_agent(tmp_path))
    agent.train_epoch()
    expected = {
        "disc_loss", "disc_grad_penalty", "disc_logit_loss", "disc_agent_acc", "disc_demo_acc", "disc_agent_logit",
        "disc_demo_logit", "style_reward_mean", "style_reward_std", "task_reward_mean",
        "kl", "lr", "a_loss", "c_loss", "b_loss", "entropy",
        "clip_frac",
    }  # fmt: skip
    assert set(agent.epoch_stats) == expected
    assert all(type(value) is float for value in agent.epoch_stats.values())


def test_task_and_style_reward_are_told_apart_and_unweighted(tmp_path):
    class Paid(PointMassVecEnv):
        def step(self, actions):
            obs, _, dones, infos = super().step(actions)
            return obs, 0.25 * self.steps.float(), dones, infos

    env = Paid(CONFIG["num_actors"], episode_length=1000, max_speed=1e9)  # steps 1 to 8 of one episode
    agent = begin(make_agent(tmp_path, env, task_reward_w=0.3, disc_reward_w=0.7))
    agent.train_epoch()
    assert agent.epoch_stats["task_reward_mean"] == pytest.approx(0.25 * 4.5)
    assert agent.tagged_stats()["info/task_reward_mean"] == agent.epoch_stats["task_reward_mean"]
    style = agent.epoch_stats["style_reward_mean"]
    returns = agent.rollout["returns"] - agent.rollout["values"]
    assert style > 0.0 and bool(torch.isfinite(returns).all())


def test_policy_and_discriminator_may_see_observations_of_any_two_sizes(tmp_path):
    env = RandomVecEnv(CONFIG["num_actors"], obs_dim=7, action_dim=3, amp_obs_dim=10)
    env.fetch_action_demo = lambda n: (torch.randn(n, 7), torch.rand(n, 3))
    agent = make_agent(tmp_path, env, warm_start_steps=1, max_epochs=2)
    agent.train()
    assert agent.bare_model.running_mean_std.running_mean.shape == (7,)
    assert agent.discriminator.normalizer.running_mean.shape == (10,)


def test_observation_statistics_take_a_rollout_in_once(tmp_path):
    agent = begin(make_agent(tmp_path, mini_epochs=3))
    for _ in range(2):
        agent.train_epoch()
    assert agent.model.running_mean_std.count.item() == 1 + 2 * BATCH


def test_observation_statistics_can_follow_rl_games_and_count_mini_epochs(tmp_path):
    agent = begin(make_agent(tmp_path, mini_epochs=3, normalize_obs_every_mini_epoch=True))
    agent.train_epoch()
    assert agent.model.running_mean_std.count.item() == 1 + 3 * BATCH


def test_amp_statistics_move_once_an_epoch_on_all_three_streams(tmp_path):
    agent = begin(make_agent(tmp_path, mini_epochs=3))
    for _ in range(2):
        agent.train_epoch()
    assert agent.discriminator.normalizer.count.item() == 1 + 2 * 3 * AMP_ROWS


def test_the_first_minibatch_sees_the_policy_that_acted(tmp_path):
    agent = begin(make_agent(tmp_path, mini_epochs=1, minibatch_size=BATCH, amp_minibatch_size=32))
    for _ in range(3):
        agent.train_epoch()
        assert agent.epoch_stats["kl"] == pytest.approx(0.0, abs=1e-3)  # rl_games adds 1e-5 to each ratio of sigmas
        assert agent.epoch_stats["clip_frac"] == 0.0


def test_the_discriminator_learns_to_tell_agents_from_demonstrations(tmp_path):
    agent = begin(make_agent(tmp_path))
    for _ in range(10):
        agent.train_epoch()
    assert agent.epoch_stats["disc_agent_logit"] < agent.epoch_stats["disc_demo_logit"]
    assert agent.epoch_stats["disc_agent_acc"] > 0.6 and agent.epoch_stats["disc_demo_acc"] > 0.6


def test_a_rollout_is_replayed_from_the_next_epoch_on(tmp_path):
    env = RecordingEnv(CONFIG["num_actors"])
    agent = begin(make_agent(tmp_path, env))
    agent.train_epoch()
    replayed = agent.discriminator.state_dict()["replay"]["rows"]
    assert sorted(replayed[:, 0].tolist()) == sorted(torch.stack(env.amp_obs)[..., 0].flatten().tolist())


def test_each_epoch_fetches_amp_batch_size_fresh_demonstrations(tmp_path):
    fetched = []

    class CountingEnv(PointMassVecEnv):
        def fetch_amp_obs_demo(self, n):
            fetched.append(n)
            return super().fetch_amp_obs_demo(n)

    make_agent(tmp_path, CountingEnv(CONFIG["num_actors"]), max_epochs=2).train()
    assert fetched == [CONFIG["amp_obs_demo_buffer_size"], CONFIG["amp_batch_size"], CONFIG["amp_batch_size"]]


def test_update_changes_actor_critic_and_discriminator_but_not_a_frozen_sigma(tmp_path):
    agent = begin(make_agent(tmp_path))
    before = weights(agent)
    agent.train_epoch()
    unchanged = {name for name, value in weights(agent).items() if torch.equal(value, before[name])}
    assert unchanged == {"a2c_network.sigma"}


def test_a_learned_sigma_learns(tmp_path):
    network = copy.deepcopy(NETWORK)
    network["space"]["continuous"]["learn_sigma"] = True
    agent = begin(make_agent(tmp_path, network=network))
    before = agent.model.a2c_network.sigma.clone()
    agent.train_epoch()
    assert not torch.equal(agent.model.a2c_network.sigma, before)


@pytest.mark.parametrize(
    "config",
    [
        {"bounds_loss_coef": None},
        {"disc_loss": "lsgan"},
        {"mixed_precision": True},
        {"truncate_grads": True},
        {"normalize_input": False, "normalize_value": False, "normalize_amp_input": False},
        {"advantage_clip": 0.5},
        {"clip_value": True},
        {"amp_replay_buffer_size": 16},
    ],
)
def test_variants_train(tmp_path, config):
    agent = begin(make_agent(tmp_path, **config))
    for _ in range(2):
        agent.train_epoch()
    assert all(value == value for value in agent.epoch_stats.values())


def test_shared_trunks_train(tmp_path):
    network = copy.deepcopy(NETWORK)
    network["separate"] = False
    begin(make_agent(tmp_path, network=network)).train_epoch()


def ppo_loss_of(agent, mu=1.5, old_mu=1.5):
    """Return the loss, its parts and its gradient by the policy's mean (4, 2), for ratio 1 and sigma 0.5."""
    one, sigma, mus = torch.ones(4), torch.full((4, 2), 0.5), torch.full((4, 2), mu, requires_grad=True)
    minibatch = {
        "mu": torch.full((4, 2), old_mu),
        "sigma": sigma,
        "old_logp_actions": one,
        "advantages": torch.tensor([1.0, 1.0, -1.0, 1.0]),
        "old_values": one.unsqueeze(-1),
        "returns": 3.0 * one.unsqueeze(-1),
    }
    result = {"prev_neglogp": one, "values": one.unsqueeze(-1), "entropy": 2.0 * one, "mus": mus, "sigmas": sigma}
    loss, parts = agent.ppo_loss(result, minibatch)
    return loss, parts, torch.autograd.grad(loss, mus)[0]


def test_losses_are_weighted_as_in_isaacgymenvs(tmp_path):
    loss, parts, _ = ppo_loss_of(make_agent(tmp_path, critic_coef=5, bounds_loss_coef=10, entropy_coef=0.1))
    # Ratio 1: actor -mean(advantages) = -0.5. Critic (3 - 1)^2 = 4, whole, not halved. Bounds 2 * 0.5^2 = 0.5.
    assert parts["a_loss"].item() == pytest.approx(-0.5)
    assert loss.item() == pytest.approx(-0.5 + 5 * 4.0 - 0.1 * 2.0 + 10 * 0.5)


def test_an_update_that_leaves_the_trust_region_is_drawn_back(tmp_path):
    config = dict(bounds_loss_coef=0.0, kl_threshold=0.02)  # the region ends at KL 0.06
    agent = make_agent(tmp_path, lr_schedule="adaptive", **config)
    base, _, inside = ppo_loss_of(agent, mu=0.1, old_mu=0.0)  # KL 0.5 * 2 * (0.1 / 0.5)^2 = 0.04
    loss, parts, outside = ppo_loss_of(agent, mu=0.2, old_mu=0.0)  # 0.16
    assert parts["kl"].item() == pytest.approx(0.16)
    assert not inside.any() and bool((outside > 0.0).all())  # to go down is to come back
    assert (loss - base).item() == pytest.approx(0.16 - 0.06, rel=1e-5)
    _, _, constant = ppo_loss_of(make_agent(tmp_path, **config), mu=0.2, old_mu=0.0)
    assert not constant.any()


def test_advantages_are_clipped_on_request(tmp_path):
    agent = begin(make_agent(tmp_path, advantage_clip=0.1))
    agent.set_eval()
    with torch.no_grad():
        agent.prepare_dataset(agent.play_steps())
    assert agent.dataset.values_dict["advantages"].abs().max().item() == pytest.approx(0.1)


def test_minibatch_results_hold_no_graph(tmp_path):
    agent = begin(make_agent(tmp_path))
    kls, update = [], agent.update
    agent.update = lambda minibatch: kls.append(update(minibatch)) or kls[-1]
    agent.train_epoch()
    assert kls and not any(kl.requires_grad for kl in kls)


def test_time_limits_are_never_bootstrapped_twice(tmp_path):
    assert make_agent(tmp_path, value_bootstrap=True).value_bootstrap is False


def test_the_environment_is_told_the_frames(tmp_path):
    env = PointMassVecEnv(CONFIG["num_actors"])
    make_agent(tmp_path, env, max_epochs=3).train()
    assert env.train_info_frames == [0, BATCH, 2 * BATCH]


def test_training_stops_after_exactly_the_epochs_asked_for(tmp_path):
    agent = make_agent(tmp_path, max_epochs=3)
    agent.train()
    assert agent.epoch_num == 3 and agent.frame == 3 * BATCH


def test_training_stops_at_the_frames_asked_for(tmp_path):
    agent = make_agent(tmp_path, max_epochs=-1, max_frames=2 * BATCH)
    agent.train()
    assert agent.frame == 2 * BATCH


@pytest.mark.parametrize(("schedule_type", "updates"), [("legacy", 2 * 2), ("standard", 2)])
def test_adaptive_rate_moves_once_a_minibatch_or_once_a_mini_epoch(tmp_path, schedule_type, updates):
    agent = begin(make_agent(tmp_path, lr_schedule="adaptive", schedule_type=schedule_type, kl_threshold=1e9))
    agent.train_epoch()
    # KL is far below the threshold every time: the rate grows by 1.5 at each decision.
    assert agent.last_lr == pytest.approx(1e-3 * 1.5**updates)
    assert agent.optimizer.param_groups[0]["lr"] == agent.last_lr == agent.epoch_stats["lr"]


def test_a_discriminator_with_its_own_rate_keeps_it(tmp_path):
    agent = begin(make_agent(tmp_path, lr_schedule="adaptive", kl_threshold=1e9, disc_learning_rate=5e-5))
    agent.train_epoch()
    policy, disc = agent.optimizer.param_groups
    assert policy["lr"] > 1e-3 and disc["lr"] == 5e-5
    assert len(disc["params"]) == 6 and len(policy["params"]) == 13


def test_linear_rate_by_frames_decays(tmp_path):
    agent = make_agent(tmp_path, lr_schedule="linear", max_epochs=-1, max_frames=4 * BATCH)
    agent.train()
    # The last epoch begins after 3 of 4 parts: 1/4 of the way from 1e-6 to 1e-3 is left.
    assert agent.last_lr == pytest.approx(1e-6 + (1e-3 - 1e-6) / 4)


def test_a_constant_rate_reads_nothing_back_per_minibatch(tmp_path):
    assert make_agent(tmp_path, lr_schedule="constant", schedule_type="legacy").schedule_type == "standard"


def test_observers_and_tensorboard_get_the_discriminators_scalars(tmp_path):
    class Observer(DefaultAlgoObserver):
        def after_print_stats(self, frame, epoch_num, total_time):
            self.seen = dict(self.algo.epoch_stats)

    params = make_params(tmp_path, max_epochs=1)
    params["config"]["features"]["observer"] = observer = Observer()

    agent = AMPAgent("run", params)
    written = {}
    agent.writer.add_scalar = lambda tag, value, step=None: written.__setitem__(tag, (value, step))
    agent.train()
    assert observer.seen == agent.epoch_stats
    assert written["losses/disc_loss"] == (agent.epoch_stats["disc_loss"], 0)
    assert written["info/disc_reward_mean"] == (agent.epoch_stats["style_reward_mean"], 0)
    assert {
        "info/disc_agent_acc", "info/disc_demo_acc", "info/disc_agent_logit", "info/disc_demo_logit",
        "info/disc_grad_penalty", "info/disc_logit_loss", "info/disc_reward_std", "info/clip_frac",
        "losses/a_loss", "losses/c_loss", "losses/bounds_loss", "losses/entropy", "info/kl", "info/last_lr",
    } <= set(written)  # fmt: skip


def test_an_environment_without_the_amp_interface_is_refused(tmp_path):
    class Incomplete:
        def get_env_info(self):
            return PointMassVecEnv(1).get_env_info()

    with pytest.raises(ConfigError, match="lacks reset_done and fetch_amp_obs_demo and fetch_action_demo"):
        make_agent(tmp_path, Incomplete())


def test_infos_without_amp_observations_are_refused(tmp_path):
    class Forgetful(PointMassVecEnv):
        def step(self, actions):
            obs, rewards, dones, infos = super().step(actions)
            del infos["terminate"]
            return obs, rewards, dones, infos

    agent = begin(make_agent(tmp_path, Forgetful(CONFIG["num_actors"])))
    with pytest.raises(ConfigError, match="infos lack 'amp_obs' or 'terminate'"):
        agent.train_epoch()


def test_bad_sizes_are_refused_before_the_environment_is_looked_at(tmp_path):
    params = make_params(tmp_path, minibatch_size=60)
    params["config"].update(env_info=None, vec_env=None)  # rl_games would now try to create one, and fail

    with pytest.raises(ConfigError, match="not a multiple of minibatch_size 60"):
        AMPAgent("run", params)


def test_a_rollout_leaves_the_cores_to_the_physics_and_the_update_takes_them(tmp_path):
    class ThreadCountingEnv(PointMassVecEnv):
        def step(self, actions):
            self.threads = torch.get_num_threads()
            return super().step(actions)

    env = ThreadCountingEnv(CONFIG["num_actors"])
    agent = begin(make_agent(tmp_path, env))
    torch.set_num_threads(2)
    agent.train_epoch()
    assert (env.threads, torch.get_num_threads()) == (1, 2)


def test_compilation_is_off_unless_asked_for(tmp_path):
    params = make_params(tmp_path)

    AMPAgent("run", params)
    assert params["config"]["torch_compile"] is False


def test_a_policy_that_does_not_move_has_no_kl_divergence_at_a_small_noise_either(tmp_path):
    # rl_games' own formula reads 0.0016 too little an action at this noise.
    network = copy.deepcopy(NETWORK)
    network["space"]["continuous"]["sigma_init"]["val"] = -2.9
    agent = begin(make_agent(tmp_path, network=network, learning_rate=1e-12))
    agent.train_epoch()
    assert agent.epoch_stats["kl"] == pytest.approx(0.0, abs=1e-5)
