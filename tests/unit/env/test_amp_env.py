"""`AmpEnv` on the real simulator and a bundled clip."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from amp_train import rotations
from amp_train.env import AmpEnv, make_env
from amp_train.errors import UserError
from amp_train.motion import find_motion, load_clip, save_clip
from amp_train.motion.augment import bent

pytestmark = pytest.mark.mujoco
NUM_ENVS = 6
BY_JOINT = (
    "stiffness", "damping", "torque_limits", "armature", "action_scale", "default_dof_pos", "ball_ranges"
)  # fmt: skip


def config(**changes: Any) -> SimpleNamespace:
    """The configuration keys that the environment reads; the real composed one is tested in tests/e2e."""
    env = dict(
        episode_length=300,
        num_amp_obs_steps=2,
        local_root_obs=True,
        state_init="Random",
        hybrid_init_prob=0.5,
        early_termination=True,
        termination_height=0.5,
        fall_height_ratio=0.7,
        control_frequency_hz=30,
    )
    motion = dict(
        file=changes.pop("file", "walk.npz"),
        contact_bodies=changes.pop("contact_bodies", None),
        termination_height=None,
        state_init=changes.pop("clip_state_init", None),
        rise_height=changes.pop("rise_height", None),
        max_low_s=changes.pop("max_low_s", None),
        derive=changes.pop("derive", []),
        retime_flights=changes.pop("retime_flights", False),
        augment=SimpleNamespace(mirror=False, arcs_deg_s=[], tempo=[]),
    )
    character = dict(
        mjcf="humanoid.xml",
        key_bodies=["right_hand", "left_hand", "right_foot", "left_foot"],
        contact_bodies=["right_foot", "left_foot"],
        fall_bodies=["pelvis", "torso", "head"],
        limit_ball_joints=False,
        **{key: {} for key in BY_JOINT},
    )
    num_envs, seed = changes.pop("num_envs", NUM_ENVS), changes.pop("seed", 3)
    env.update(changes)
    randomize = SimpleNamespace(randomize=False)
    return SimpleNamespace(
        task=SimpleNamespace(name="HumanoidAMP", goal={}, env=SimpleNamespace(**env), task=randomize),
        motion=SimpleNamespace(**motion),
        character=SimpleNamespace(**character),
        sim=SimpleNamespace(name="mujoco", decimation=4),
        num_envs=num_envs,
        num_threads=1,
        seed=seed,
    )


def hold(env: AmpEnv) -> torch.Tensor:
    """The action whose PD target is the present pose."""
    return ((env.state.dof_pos - env._pd_target.offset) / env._pd_target.scale).clamp(-1, 1)


def lay_down(env: AmpEnv, env_id: int) -> None:
    """Put one character on its back in the air, half a metre up."""
    state = env.state[torch.tensor([env_id])].clone()
    state.root_pos[:, 2] = 0.5
    state.root_rot[:] = torch.tensor([0.0, -(0.5**0.5), 0.0, 0.5**0.5])
    env.simulator.set_state(torch.tensor([env_id]), state)


def test_sizes_are_those_of_the_humanoid_task() -> None:
    env = make_env(config(num_amp_obs_steps=10))
    assert (env.obs_size, env.amp_obs_size, env.num_actions) == (105, 1050, 28)
    assert env.reset().shape == (NUM_ENVS, 105)
    assert env.fetch_amp_obs_demo(7).shape == (7, 1050)


def test_newest_amp_frame_is_the_observation_and_the_next_one_the_observation_before() -> None:
    env = make_env(config())
    before = env.reset().clone()
    obs, _, _, infos = env.step(hold(env))
    assert torch.equal(infos["amp_obs"][:, :105], obs)
    assert torch.equal(infos["amp_obs"][:, 105:], before)


def test_reset_observation_is_what_the_simulator_shows() -> None:
    env = make_env(config())
    obs = env.reset()
    # float32 clip state against the float64 simulator.
    torch.testing.assert_close(env._demos.observe(env.state), obs, atol=2e-4, rtol=0)


def test_random_init_starts_all_over_the_clip_and_start_at_its_first_frame() -> None:
    assert float(make_env(config(num_envs=64)).reset().std(0).max()) > 0.1
    assert float(make_env(config(num_envs=64, state_init="Start")).reset().std(0).max()) < 1e-5


def test_a_clip_that_says_how_episodes_begin_goes_before_the_task() -> None:
    assert float(make_env(config(num_envs=64, clip_state_init="Start")).reset().std(0).max()) < 1e-5


def test_hybrid_init_mixes_clip_and_default_pose_and_the_default_is_at_rest() -> None:
    env = make_env(config(num_envs=200, state_init="Hybrid", hybrid_init_prob=0.25))
    env.reset()
    at_rest = (env.state.dof_vel.abs().amax(-1) == 0) & (env.state.root_vel.abs().amax(-1) == 0)
    # Binomial(200, 0.75): five standard deviations are 31.
    assert 119 <= int(at_rest.sum()) <= 181
    assert int(make_default_at_rest()) == NUM_ENVS
    frames = env._history.frames[at_rest]
    assert torch.equal(frames[:, 0], frames[:, 1])


def make_default_at_rest() -> int:
    env = make_env(config(state_init="Default"))
    env.reset()
    return int((env.state.dof_pos.abs().amax(-1) == 0).sum())


def test_initial_history_is_the_clip_one_control_step_earlier() -> None:
    env = make_env(config(state_init="Start"))
    env.reset()
    library, zeros = env.motion_library, torch.zeros(1, dtype=torch.long)
    earlier = env._demos.observe(library.state_at(zeros, torch.tensor([-env.control_dt_s])))
    torch.testing.assert_close(env._history.frames[0, 1:], earlier, atol=1e-6, rtol=0)


def test_time_limit_ends_an_episode_without_calling_it_a_failure() -> None:
    env = make_env(config(episode_length=4, early_termination=False))
    env.reset()
    for _ in range(2):
        _, _, done, _ = env.step(hold(env))
        assert not bool(done.any())
    _, _, done, infos = env.step(hold(env))
    assert bool(done.all()) and bool(infos["time_outs"].all()) and not bool(infos["terminate"].any())


def test_spread_episodes_reach_the_time_limit_one_after_the_other_and_stay_in_their_clip() -> None:
    env = make_env(config(episode_length=4, early_termination=False, num_envs=4))
    env.reset()
    start_s = env._clip_start_s.clone()
    env.spread_episodes()
    ends = []
    for step in range(1, 6):
        _, _, done, infos = env.step(hold(env))
        if step == 1:
            torch.testing.assert_close(infos["clip_times_s"], start_s + env.control_dt_s)
        ends.append(done.tolist())
        env.reset_done()
    # They are 0, 1, 2 and 3 steps old, and an episode lasts 3 steps; the oldest has lasted that long already.
    assert [[env_id for env_id in range(4) if done[env_id]] for done in ends] == [[2, 3], [1], [0], [2, 3], [1]]


def test_adaptive_init_learns_where_the_character_survives() -> None:
    env = make_env(config(state_init="Adaptive"))
    starts = env._resets.adaptive
    assert starts is not None
    env.reset()
    env._progress.fill_(29)
    env._progress[5] = 0  # has not stood for a second yet
    lay_down(env, 1)
    fallen = env.step(hold(env))[3]["terminate"]
    assert fallen.nonzero().flatten().tolist() == [1]
    fallen[5] = True
    for place, rate in enumerate(starts.failure_rate):
        assert (float(rate) < 1.0) == bool((~fallen[env._bins == place]).any())
    env.reset_done()
    assert env._progress[1] == 0 and env._progress[2] == 30


def test_who_begins_where_the_clip_has_been_low_has_been_low_as_long() -> None:
    jump = dict(file="jump.npz", rise_height=1.0, max_low_s=2.2, num_envs=64)
    env = make_env(config(**jump))
    env.reset()
    low = env._termination.low_steps
    assert bool((low[env.state.root_pos[:, 2] >= 1.05] == 0).all()) and 35 < int(low.max()) <= 45
    env.step(hold(env))
    still_low = env.state.root_pos[:, 2] < 1.0
    assert torch.equal(env._termination.low_steps, torch.where(still_low, low + 1, torch.zeros_like(low)))
    default = make_env(config(**jump, state_init="Default"))
    default.reset()
    assert not bool(default._termination.low_steps.any())


def test_a_fall_terminates_and_only_fallen_environments_restart() -> None:
    env = make_env(config(state_init="Default"))
    env.reset()
    lay_down(env, 2)
    obs, _, done, infos = env.step(hold(env))
    assert done.tolist() == infos["terminate"].tolist() == [False, False, True, False, False, False]
    kept = obs.clone()
    restarted = env.reset_done()
    assert torch.equal(obs, kept), "the observation handed out before the reset must not change"
    assert torch.equal(restarted[[0, 1, 3, 4, 5]], kept[[0, 1, 3, 4, 5]])
    assert float(restarted[2, 0]) == pytest.approx(0.89, abs=1e-4)
    assert env._progress.tolist() == [1, 1, 0, 1, 1, 1]


def test_a_failure_on_the_last_step_is_a_failure() -> None:
    env = make_env(config(state_init="Default", episode_length=2))
    env.reset()
    lay_down(env, 0)
    _, _, done, infos = env.step(hold(env))
    assert bool(done.all()) and infos["terminate"].tolist() == [True] + [False] * 5
    assert infos["time_outs"].tolist() == [False] + [True] * 5


def test_a_clip_that_allows_every_body_is_never_ended_by_contact() -> None:
    lying = config(contact_bodies=["all"], fall_height_ratio=0.0, state_init="Default", file="roll.npz")
    env = make_env(lying)
    env.reset()
    for _ in range(60):
        _, _, _, infos = env.step(torch.zeros(NUM_ENVS, 28))
        assert not bool(infos["terminate"].any())
    assert float(env.state.body_pos[..., 2].max()) < 1.0, "it should have fallen by now"


def test_a_diverged_environment_is_caught_counted_and_restarted() -> None:
    env = make_env(config())
    env.reset()
    state = env.state[torch.tensor([1])].clone()
    state.dof_vel[:] = 1e12
    env.simulator.set_state(torch.tensor([1]), state)
    obs, _, done, infos = env.step(hold(env))
    assert bool(torch.isfinite(obs).all()) and bool(torch.isfinite(infos["amp_obs"]).all())
    assert bool(done[1]) and bool(infos["terminate"][1]) and env.num_diverged == 1
    env.reset_done()
    assert bool(torch.isfinite(env.step(hold(env))[0]).all())


def rollout(env: AmpEnv, steps: int) -> torch.Tensor:
    generator, seen = torch.Generator().manual_seed(1), []
    for _ in range(steps):
        obs, _, _, infos = env.step(0.2 * torch.randn(env.num_envs, 28, generator=generator))
        env.reset_done()
        seen.append(torch.cat((obs, infos["amp_obs"]), dim=-1))
    return torch.stack(seen)


def test_equal_seeds_give_equal_episodes_and_other_seeds_others() -> None:
    runs = []
    for seed in (3, 3, 4):
        env = make_env(config(seed=seed))
        env.reset()
        runs.append(rollout(env, 25))
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


def test_saved_state_continues_bit_for_bit() -> None:
    env = make_env(config())
    env.reset()
    rollout(env, 10)
    saved = env.get_state()
    straight = rollout(env, 25)
    other = make_env(config(seed=99))
    other.set_state(saved)
    assert torch.equal(rollout(other, 25), straight)
    assert torch.equal(other.fetch_amp_obs_demo(5), env.fetch_amp_obs_demo(5))


def adaptive_env_that_has_learned(**changes: Any) -> AmpEnv:
    env = make_env(config(state_init="Adaptive", num_envs=16, **changes))
    env.reset()
    env._resets.adaptive.failure_rate = torch.linspace(0.0, 1.0, len(env._resets.adaptive.failure_rate)).double()
    return env


def test_what_is_known_of_adaptive_starts_continues_bit_for_bit() -> None:
    env = adaptive_env_that_has_learned()
    rollout(env, 10)
    saved = env.get_state()
    straight, rates, bins = rollout(env, 25), env._resets.adaptive.failure_rate, env._bins
    other = make_env(config(seed=99, state_init="Adaptive", num_envs=16))
    other.set_state(saved)
    assert torch.equal(rollout(other, 25), straight)
    assert torch.equal(other._resets.adaptive.failure_rate, rates) and torch.equal(other._bins, bins)


def test_what_is_known_of_starts_in_one_clip_is_not_taken_for_another() -> None:
    saved = adaptive_env_that_has_learned(file="jump.npz").get_state()
    env = make_env(config(state_init="Adaptive", num_envs=16))
    env.set_state(saved)
    rollout(env, 40)
    assert int(env._bins.max()) < len(env._resets.adaptive.failure_rate) == 13


def test_a_clip_that_breaks_the_rule_on_staying_low_is_refused() -> None:
    with pytest.raises(UserError, match="getup_facedown.npz stays below motion.rise_height=1 m for 3.*max_low_s=2.2"):
        make_env(config(file="getup_facedown.npz", rise_height=1.0, max_low_s=2.2))


def test_unknown_state_init_lists_the_allowed() -> None:
    with pytest.raises(UserError, match="Adaptive, Default, Hybrid, Random, Start"):
        make_env(config(state_init="Rand"))


def test_demonstrated_actions_take_the_drives_along_the_clip() -> None:
    env = make_env(config(num_envs=64))
    library, dt_s = env.motion_library, env.control_dt_s
    clip_ids = torch.zeros(64, dtype=torch.long)
    times = torch.linspace(0.0, 1.2, 64)
    env._demos.sample_times = lambda _: (clip_ids, times)
    obs, action = env.fetch_action_demo(64)
    start, reached = library.state_at(clip_ids, times), library.state_at(clip_ids, times + dt_s)
    torch.testing.assert_close(obs, env._demos.observe(start))
    aimed_at_the_pose = library.state_at(clip_ids, times + 0.5 * dt_s).dof_pos - env._pd_target.offset
    errors = []
    for actions in (action, aimed_at_the_pose / env._pd_target.scale):
        env.simulator.set_state(torch.arange(64), start)
        env.step(actions)
        errors.append(float((env.state.dof_pos - reached.dof_pos).abs().mean()))
    assert errors[0] < 0.5 * errors[1]  # 0.005 and 0.018 rad


@pytest.mark.parametrize("local_root_obs", [False, True])
def test_starts_have_every_heading_of_a_clip_that_turns_where_the_heading_is_seen(
    tmp_path: Path, local_root_obs: bool
) -> None:
    path = tmp_path / "circle.npz"
    save_clip(bent(load_clip(find_motion("walk")), 60.0), path)
    env = make_env(config(file=str(path), local_root_obs=local_root_obs, num_envs=256))
    env.reset()
    drawn = rotations.heading(env.state.root_rot).abs() > 0.75 * torch.pi
    assert bool(drawn.any()) is not local_root_obs


def test_a_step_says_where_in_which_clip_an_episode_is() -> None:
    env = make_env(config(file="getup.yaml", fall_height_ratio=0.0, contact_bodies=["all"], num_envs=16))
    env.reset()
    start_ids, start_s = env._clip_ids.clone(), env._clip_start_s.clone()
    assert set(start_ids.tolist()) == {0, 1}
    for _ in range(3):
        infos = env.step(hold(env))[3]
        env.reset_done()
    assert torch.equal(infos["clip_ids"], start_ids)
    torch.testing.assert_close(infos["clip_times_s"], start_s + 3 * env.control_dt_s)
    # What the discriminator sees of that clip then is its own state there, and the ones before.
    paired = env.fetch_amp_obs_at(infos["clip_ids"], infos["clip_times_s"])
    there = env.motion_library.state_at(infos["clip_ids"], infos["clip_times_s"])
    torch.testing.assert_close(paired[:, :105], env._demos.observe(there))
    before = env.fetch_amp_obs_at(infos["clip_ids"], infos["clip_times_s"] - env.control_dt_s)
    torch.testing.assert_close(paired[:, 105:], before[:, :105], atol=1e-4, rtol=0)


def test_a_step_says_what_an_episode_failed_of() -> None:
    env = make_env(config(state_init="Default"))
    env.reset()
    lay_down(env, 2)
    causes = env.step(hold(env))[3]["fall_cause"].tolist()
    assert env.cause_names[causes[2]] in ("pelvis sank", "torso sank", "head sank")
    assert causes[:2] + causes[3:] == [0] * 5


def heading_env(seed: int = 3, **changes: Any) -> AmpEnv:
    cfg = config(seed=seed, **changes)
    cfg.task.name, cfg.task.goal = "HumanoidAMPHeading", {"speed_m_s": [1.0, 3.0]}
    return make_env(cfg)


def test_the_policy_sees_the_goal_and_the_discriminator_does_not() -> None:
    env = heading_env(num_amp_obs_steps=3)
    assert (env.frame_size, env.obs_size, env.amp_obs_size) == (105, 108, 315)
    begun = env.reset()
    torch.testing.assert_close(begun[:, 105:], env.task.goal_obs(env.state))
    obs, reward, _, infos = env.step(hold(env))
    assert obs.shape == (NUM_ENVS, 108) and infos["amp_obs"].shape == (NUM_ENVS, 315)
    assert torch.equal(infos["amp_obs"][:, :105], obs[:, :105])
    assert torch.equal(obs[:, 105:], env.task.goal_obs(env.state))
    assert bool(((reward > 0) & (reward <= 1)).all())
    demo, action = env.fetch_action_demo(9)
    assert demo.shape == (9, 108) and action.shape == (9, 28)
    # The walk goes ahead, at about 1 m/s.
    assert bool((demo[:, 105] > 0.9).all()) and bool(((demo[:, 107] > 0.7) & (demo[:, 107] < 1.3)).all())


def test_goals_continue_bit_for_bit() -> None:
    env, other = heading_env(), heading_env(seed=99)
    env.reset()
    rollout(env, 10)
    other.set_state(env.get_state())
    straight, measured = rollout(env, 40), env.pop_task_metrics()
    assert torch.equal(rollout(other, 40), straight)
    assert other.pop_task_metrics() == measured and set(measured) == {"speed_error_m_s", "heading_error_deg"}


def test_only_episodes_that_begin_get_a_goal_of_their_own() -> None:
    env = heading_env(state_init="Default")
    env.reset()
    lay_down(env, 2)
    env.step(hold(env))
    before = env.task.heading.clone()
    env.reset_done()
    assert (env.task.heading != before).tolist() == [False, False, True, False, False, False]


def test_a_diverged_character_has_no_reward_and_a_finite_goal() -> None:
    env = heading_env()
    env.reset()
    state = env.state[torch.tensor([1])].clone()
    state.dof_vel[:], state.root_vel[:] = 1e12, 1e12
    env.simulator.set_state(torch.tensor([1]), state)
    obs, reward, _, _ = env.step(hold(env))
    assert bool(torch.isfinite(obs).all()) and float(reward[1]) == 0.0
    assert all(value is None or value == value for value in env.pop_task_metrics().values())
    assert bool(torch.isfinite(env.reset_done()).all())


def test_an_unknown_task_is_refused_before_anything_is_built() -> None:
    cfg = config()
    cfg.task.name = "HumanoidAMPHeadin"
    with pytest.raises(UserError, match="Did you mean 'HumanoidAMPHeading'"):
        make_env(cfg)
