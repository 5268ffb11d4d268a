"""What is recorded of episodes, and the clips they are compared with."""

import pytest
import torch

from amp_train.config import compose, resolve
from amp_train.env import make_env
from amp_train.env.actions import pd_torque
from amp_train.evaluation.episodes import TIME_LIMIT
from amp_train.motion import MotionLibrary, load_clip
from amp_train.paths import MOTIONS_DIR
from amp_train.runner.episodes import EpisodeCallback, StopEpisodes, run_episodes
from amp_train.runner.evaluate import Pushes
from amp_train.runner.recording import clip_references, record_episodes, recorded_library, set_up_episodes
from amp_train.runner.vec_env import AMPVecEnv


class Acting:
    """A policy from a function of the observations; the discriminator's opinion is the root's height."""

    def __init__(self, act):
        self._act = act

    def start(self, vec_env):
        return vec_env.reset()

    def act(self, obs, deterministic):
        return self._act(obs)

    def judge(self, infos):
        logit = infos["amp_obs"][:, 0]
        return logit, 2 * logit


def test_the_torque_is_that_of_the_actuator_within_its_limit(humanoid, kinematics):
    state = kinematics.default_state(2)
    target = torch.zeros(2, humanoid.num_dofs)
    knee = humanoid.dof_offsets[humanoid.joint_names.index("right_knee")]
    state.dof_pos[:, knee] = torch.tensor([0.1, 2.0])
    state.dof_vel[:, knee] = 2.0
    # 300 N m/rad, 30 N m s/rad, at most 100 N m: -30 - 60, and -600 - 60 limited.
    torque = pd_torque(humanoid, state, target)
    torch.testing.assert_close(torque[:, knee], torch.tensor([-90.0, -100.0]), atol=1e-2, rtol=0)
    assert int((torque != 0).sum()) == 2


def test_a_reference_is_one_pass_of_the_clip_at_the_control_rate(humanoid):
    clips = [load_clip(MOTIONS_DIR / name) for name in ("walk.npz", "kick.npz")]
    library = MotionLibrary(clips, [3.0, 1.0], spec=humanoid)
    walk, kick = clip_references(library, 1 / 30)
    assert (walk.name, walk.weight, len(walk), len(kick)) == ("walk", 0.75, 38, 46)
    state = library.state_at(torch.tensor([0, 1]), torch.zeros(2))
    torch.testing.assert_close(walk.body_pos[0], state.body_pos[0])
    torch.testing.assert_close(kick.dof_pos[0], state.dof_pos[1])
    assert walk.turn_rad == pytest.approx(0.0, abs=1e-4) and kick.turn_rad == 0.0
    assert walk.speed_m_s == pytest.approx(0.98, abs=0.01)


def test_a_clip_that_turns_says_by_how_much_a_pass(humanoid):
    walk = load_clip(MOTIONS_DIR / "walk.npz")
    library = MotionLibrary([walk], spec=humanoid)
    library._turn = torch.tensor([0.4])
    (reference,) = clip_references(library, 1 / 30)
    assert reference.turn_rad == pytest.approx(0.4, abs=1e-4)


@pytest.mark.mujoco
def test_episodes_of_a_retimed_clip_begin_evenly_in_it_and_are_measured_by_the_recorded_one():
    cfg = set_up_episodes(resolve(compose(["num_threads=1", "motion=spin"])), 2, 0.5, seed=1)
    env = make_env(cfg)
    (reference,) = clip_references(recorded_library(cfg, env), env.control_dt_s)
    assert len(reference) == 132 and float(env.motion_library.durations_s[0]) == pytest.approx(4.18, abs=0.02)
    assert env._resets.adaptive is None
    env.close()


@pytest.fixture(scope="module")
def recorded():
    cfg = set_up_episodes(resolve(compose(["num_threads=1", "motion=walk"])), 3, 0.5, seed=1)
    env = make_env(cfg)
    seen = []

    def act(obs):
        # Environment 0 goes limp to one side and falls; the others are put back into their clip at every step.
        action = torch.zeros(3, env.num_actions)
        seen.append(env.state.clone())
        others = torch.tensor([1, 2])
        env.simulator.set_state(others, env.motion_library.state_at(torch.zeros(2, dtype=torch.long), torch.zeros(2)))
        if len(seen) == 5:
            lying = env.state[:1].clone()
            lying.root_pos[:, 2] = 0.3
            env.simulator.set_state(torch.tensor([0]), lying)
        return action

    episodes = record_episodes(cfg, AMPVecEnv(env, "cpu"), Acting(act))
    env.close()
    return cfg, episodes, seen


@pytest.mark.mujoco
def test_episodes_last_until_the_fall_or_the_time_limit(recorded):
    _, episodes, _ = recorded
    assert episodes.lengths.tolist() == [5, 15, 15]
    assert episodes.ends[1:] == (TIME_LIMIT, TIME_LIMIT) and "sank" in episodes.ends[0]
    assert episodes.num_falls == 1 and episodes.valid.sum().item() == 35
    assert episodes.control_dt_s == pytest.approx(1 / 30)


@pytest.mark.mujoco
def test_rows_are_what_the_environment_showed_after_each_step(recorded):
    _, episodes, seen = recorded
    torch.testing.assert_close(episodes.body_pos[0, 0], seen[1].body_pos[0])
    torch.testing.assert_close(episodes.disc_logit * 2, episodes.style_reward)
    torch.testing.assert_close(episodes.disc_logit[0, 0], seen[1].root_pos[0, 2])  # the observation begins with it


@pytest.mark.mujoco
def test_episodes_begin_in_different_phases(recorded):
    _, _, seen = recorded
    assert (seen[0].dof_pos[0] - seen[0].dof_pos[1]).abs().max() > 0.05


@pytest.mark.mujoco
def test_power_is_recorded_as_torque_times_velocity(recorded):
    _, episodes, seen = recorded
    humanoid_power = episodes.power_w[0, 0]
    assert 1.0 < float(humanoid_power) < 5000.0 and bool((episodes.power_w >= 0).all())


class Counting(EpisodeCallback):
    def __init__(self, enough=None):
        self.seen, self.enough = [], enough

    def on_start(self, env):
        self.seen.append("start")

    def on_step(self, step):
        self.seen.append(step)
        if step.index + 1 == self.enough:
            raise StopEpisodes

    def on_end(self):
        self.seen.append("end")


@pytest.fixture
def vec_env():
    env = make_env(resolve(compose(["num_threads=1", "num_envs=2", "task.env.episode_length=6"])))
    yield AMPVecEnv(env, "cpu")
    env.close()


def limp(obs):
    return torch.zeros(len(obs), 28)


@pytest.mark.mujoco
def test_every_callback_sees_every_step_and_one_can_end_the_loop(vec_env):
    stopping, other = Counting(enough=3), Counting()
    run_episodes(vec_env, Acting(limp), [stopping, other])
    for counting in (stopping, other):
        assert counting.seen[0] == "start" and counting.seen[-1] == "end" and len(counting.seen) == 5
    steps = other.seen[1:-1]
    assert [step.index for step in steps] == [0, 1, 2]
    assert steps[2].time_s == pytest.approx(3 / 30) and steps[0].env is vec_env.env
    torch.testing.assert_close(steps[0].state.root_pos[:, 2], steps[0].disc_logit)
    assert torch.equal(steps[1].style_reward, 2 * steps[1].disc_logit)
    # What the policy saw before a step is what the step before led to.
    torch.testing.assert_close(steps[1].obs[:, 0], steps[0].state.root_pos[:, 2])


@pytest.mark.mujoco
def test_the_loop_ends_with_as_many_episodes_of_each_environment_and_as_many_steps(vec_env):
    counting = Counting()
    run_episodes(vec_env, Acting(limp), [counting], episodes=3)  # two in each of two environments
    steps = counting.seen[1:-1]
    ended = torch.stack([step.done for step in steps])
    assert int(ended.sum(0).min()) == 2 and bool(ended[-1].any()) and not bool((ended[:-1].sum(0) >= 2).all())
    counting = Counting()
    run_episodes(vec_env, Acting(limp), [counting], num_steps=40, episodes=2)
    assert len(counting.seen) == 42


@pytest.mark.mujoco
def test_callbacks_are_ended_when_a_policy_breaks_down(vec_env):
    def broken(obs):
        raise RuntimeError("no action")

    counting = Counting()
    with pytest.raises(RuntimeError, match="no action"):
        run_episodes(vec_env, Acting(broken), [counting], num_steps=3)
    assert counting.seen == ["start", "end"]


def test_a_push_is_a_force_on_the_whole_body_for_a_fifth_of_a_second_every_five(monkeypatch):
    cfg = resolve(compose(["motion=walk", "num_envs=3", "num_threads=1", "task.env.episode_length=400"]))
    env = make_env(cfg)
    done, set_state, pushing = [], env.simulator.set_state, Pushes(force_n=300.0, seed=4)

    def push(step):
        def noted(ids, state):
            change = state.root_vel - step.state[ids].root_vel
            done.extend((int(n), step.index, way) for n, way in zip(ids, change))
            set_state(ids, state)

        monkeypatch.setattr(env.simulator, "set_state", noted)
        Pushes.on_step(pushing, step)
        monkeypatch.setattr(env.simulator, "set_state", set_state)

    monkeypatch.setattr(pushing, "on_step", push)
    run_episodes(AMPVecEnv(env, "cpu"), Acting(lambda obs: torch.zeros(3, 28)), [pushing], num_steps=310)
    gained = 300.0 * 0.2 / float(env.spec.body_mass.sum())  # m/s
    sides = []
    for n in range(3):
        mine = [(index, way) for number, index, way in done if number == n]
        steps = [index for index, _ in mine]
        assert steps[:12] == [*range(steps[0], steps[0] + 6), *range(steps[0] + 150, steps[0] + 156)]
        assert 74 <= steps[0] <= 150
        for first in (0, 6):
            way = torch.stack([way for _, way in mine[first : first + 6]]).sum(0)
            assert float(way.norm()) == pytest.approx(gained, rel=1e-3) and way[2] == 0.0
            sides.append(way / way.norm())
    assert float((torch.stack(sides) @ torch.stack(sides).T - torch.eye(6)).max()) < 0.99999  # all from other sides
    env.close()
