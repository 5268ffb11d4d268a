"""Domain randomisation: what is drawn when, and what it is applied to; its physics is in tests/unit/sim."""

from types import SimpleNamespace
from typing import Any, Dict, List

import pytest
import torch

from amp_train.env.randomization import (
    Noise,
    Randomization,
    Source,
    bucketed,
    chosen_parameters,
    sample_of,
    schedule_share,
    scheduled,
)
from amp_train.errors import ConfigError

NUM_ENVS = 4


def draw(low: float, high: float, **changes: Any) -> SimpleNamespace:
    settings = dict(
        range=[low, high],
        operation="scaling",
        distribution="uniform",
        schedule=None,
        schedule_steps=None,
        range_correlated=None,
        num_buckets=0,
        setup_only=False,
    )
    return SimpleNamespace(**dict(settings, **changes))


def source(seed: int = 0) -> Source:
    return Source(torch.Generator().manual_seed(seed), torch.device("cpu"))


class FakeSimulator:
    """Remembers what it was told."""

    num_envs, device, masked_resets = NUM_ENVS, torch.device("cpu"), False

    def __init__(self) -> None:
        self.told: List[List[bool]] = []
        self.values: Dict[str, torch.Tensor] = {}

    def parameters(self) -> Dict[str, torch.Tensor]:
        limits = {"lower": torch.tensor([-1.0]), "upper": torch.tensor([3.0])}
        return dict(limits, mass=torch.tensor([2.0, 10.0]), gravity=torch.tensor([0.0, 0.0, -9.81]))

    def set_parameters(self, chosen: torch.Tensor, values: Dict[str, torch.Tensor]) -> None:
        self.told.append(chosen.tolist())
        self.values = {name: value.clone() for name, value in values.items()}


def settings(frequency: int = 1, **parameters: Any) -> SimpleNamespace:
    sim_params = {"gravity": parameters.pop("gravity", None)}
    noises = {name: parameters.pop(name, None) for name in ("observations", "actions")}
    groups = {"rigid_shape_properties": {"friction": parameters.pop("friction", None)}}
    groups["rigid_body_properties"] = {"mass": parameters.pop("mass", None)}
    groups["dof_properties"] = parameters
    actors = {"humanoid": SimpleNamespace(**groups)}
    return SimpleNamespace(frequency=frequency, sim_params=sim_params, actor_params=actors, **noises)


def randomization(simulator: FakeSimulator, seed: int = 0, **given: Any) -> Randomization:
    asked = settings(**given)
    return Randomization(asked, chosen_parameters(asked, simulator, "fake"), simulator, (3, 2), source(seed))


def all_done() -> torch.Tensor:
    return torch.ones(NUM_ENVS, dtype=torch.bool)


def test_a_gaussian_range_is_mean_and_standard_deviation() -> None:
    sample = sample_of("gaussian", [2.0, 0.5], (200, 200), source())
    # 40,000 numbers: the mean is known to 0.5 / 200 = 0.0025, the deviation to 0.7 of that; 4 times as much.
    assert float(sample.mean()) == pytest.approx(2.0, abs=0.01)
    assert float(sample.std()) == pytest.approx(0.5, abs=0.007)


def test_a_uniform_range_is_least_and_largest() -> None:
    sample = sample_of("uniform", [0.5, 1.5], (200, 200), source())
    assert 0.5 <= float(sample.min()) < 0.501 and 1.499 < float(sample.max()) <= 1.5
    assert float(sample.mean()) == pytest.approx(1.0, abs=0.006)


def test_a_loguniform_draw_lies_as_often_below_as_above_the_geometric_mean() -> None:
    sample = sample_of("loguniform", [0.1, 10.0], (200, 200), source())
    assert 0.1 <= float(sample.min()) and float(sample.max()) <= 10.001
    assert float((sample < 1.0).float().mean()) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("schedule", "shares"), [("linear", [0.0, 0.5, 1.0, 1.0]), ("constant", [0.0, 0.0, 1.0, 1.0])])
def test_a_schedule_applies_nothing_at_first_and_all_at_its_end(schedule: str, shares: List[float]) -> None:
    setting = draw(0.0, 1.0, schedule=schedule, schedule_steps=10)
    assert [schedule_share(setting, step) for step in (0, 5, 10, 25)] == shares


def test_scaling_and_adding_start_from_the_clean_value() -> None:
    clean, sample = torch.tensor([10.0]), torch.tensor([3.0])
    assert [float(scheduled(clean, sample, "scaling", s)) for s in (0.0, 0.5, 1.0)] == [10.0, 20.0, 30.0]
    assert [float(scheduled(clean, sample, "additive", s)) for s in (0.0, 0.5, 1.0)] == [10.0, 11.5, 13.0]


def test_white_noise_differs_in_each_step_and_its_correlated_part_stays() -> None:
    noise = Noise(
        draw(0.0, 0.1, operation="additive", distribution="gaussian", range_correlated=[1.0, 2.0]), 4, 5000, source()
    )
    noise.begin(all_done())
    kept = noise.correlated.clone()
    first, second = noise(torch.zeros(4, 5000), 1), noise(torch.zeros(4, 5000), 2)
    # 20,000 numbers: means to 0.1 / 141 and 2 / 141, 4 times as much allowed.
    assert float((first - kept).mean()) == pytest.approx(0.0, abs=0.003)
    assert float((first - kept).std()) == pytest.approx(0.1, rel=0.03)
    assert float((first - second).std()) == pytest.approx(0.1 * 2**0.5, rel=0.03)
    assert float(kept.mean()) == pytest.approx(1.0, abs=0.06) and float(kept.std()) == pytest.approx(2.0, rel=0.03)
    noise.begin(torch.tensor([False, True, False, False]))
    assert (noise.correlated != kept).any(1).tolist() == [False, True, False, False]


def test_buckets_round_down_to_the_edges_of_equal_intervals() -> None:
    sample = torch.tensor([0.0, 0.24, 0.26, 0.99, 1.0])
    assert bucketed(sample, draw(0.0, 1.0, num_buckets=4)).tolist() == [0.0, 0.0, 0.25, 0.75, 0.75]
    # Two deviations around the mean: -1 to 1.
    gaussian = draw(0.0, 0.5, distribution="gaussian", num_buckets=2)
    assert bucketed(torch.tensor([-9.0, -0.1, 0.1, 9.0]), gaussian).tolist() == [-1.0, -1.0, 0.0, 0.0]


def test_each_environment_and_each_body_gets_a_value_of_its_own() -> None:
    simulator = FakeSimulator()
    randomization(simulator, mass=draw(0.5, 1.5)).begin(all_done())
    mass = simulator.values["mass"]
    assert len(set(mass.flatten().tolist())) == 2 * NUM_ENVS
    assert bool(((mass >= torch.tensor([1.0, 5.0])) & (mass <= torch.tensor([3.0, 15.0]))).all())


def test_an_episode_that_begins_changes_its_own_environment_only() -> None:
    simulator = FakeSimulator()
    drawing = randomization(simulator, mass=draw(0.5, 1.5), gravity=draw(0.0, 0.4, operation="additive"))
    drawing.begin(all_done())
    before = simulator.values
    drawing.noisy_action(torch.zeros(NUM_ENVS, 2))
    begun = torch.tensor([False, True, False, True])
    drawing.begin(begun)
    assert simulator.told == [[True] * 4, begun.tolist()]
    for name in ("mass", "gravity"):
        assert (simulator.values[name] != before[name]).any(1).tolist() == begun.tolist()


def test_nothing_is_drawn_again_before_frequency_steps_have_passed() -> None:
    simulator = FakeSimulator()
    drawing = randomization(simulator, frequency=3, mass=draw(0.5, 1.5))
    drawing.begin(all_done())
    for _ in range(5):
        drawing.noisy_action(torch.zeros(NUM_ENVS, 2))
        drawing.begin(torch.tensor([True, False, False, False]))
    assert simulator.told == [[True] * 4, [True, False, False, False]]


def test_setup_only_is_drawn_once() -> None:
    simulator = FakeSimulator()
    drawing = randomization(simulator, mass=draw(0.5, 1.5, setup_only=True), gravity=draw(0.5, 1.5))
    drawing.begin(all_done())
    before = simulator.values
    drawing.noisy_action(torch.zeros(NUM_ENVS, 2))
    drawing.begin(all_done())
    assert torch.equal(simulator.values["mass"], before["mass"])
    assert not torch.equal(simulator.values["gravity"], before["gravity"])


def test_parameters_follow_the_schedule() -> None:
    simulator = FakeSimulator()
    drawing = randomization(simulator, mass=draw(3.0, 3.0, schedule="linear", schedule_steps=2))
    seen = []
    for _ in range(4):
        drawing.begin(all_done())
        seen.append(simulator.values["mass"][0].tolist())
        drawing.noisy_action(torch.zeros(NUM_ENVS, 2))
    assert seen == [[2.0, 10.0], [4.0, 20.0], [6.0, 30.0], [6.0, 30.0]]


def test_no_mass_is_negative_and_no_limit_crosses_the_other() -> None:
    simulator = FakeSimulator()
    far = {"lower": draw(5.0, 5.0, operation="additive"), "upper": draw(-9.0, -9.0, operation="additive")}
    randomization(simulator, mass=draw(-1.0, -1.0), **far).begin(all_done())
    torch.testing.assert_close(simulator.values["mass"][0], torch.tensor([0.02, 0.1]))
    assert float(simulator.values["lower"][0]) == float(simulator.values["upper"][0]) == 1.0


def test_a_reset_renews_what_the_policy_sees_of_the_episodes_that_began_only() -> None:
    drawing = randomization(FakeSimulator(), observations=draw(1.0, 2.0, operation="additive"))
    seen = drawing.noisy_obs(torch.zeros(NUM_ENVS, 3)).clone()
    begun = torch.tensor([True, False, False, False])
    drawing.begin(begun)
    again = drawing.noisy_obs_after_reset(torch.zeros(NUM_ENVS, 3), begun)
    assert (again != seen).any(1).tolist() == begun.tolist()
    assert bool((again >= 1.0).all())


def test_it_continues_exactly_from_its_state() -> None:
    given = dict(
        mass=draw(0.5, 1.5), frequency=2, actions=draw(0.0, 1.0, operation="additive", range_correlated=[0.0, 1.0])
    )
    simulator, other_simulator = FakeSimulator(), FakeSimulator()
    drawing, other = randomization(simulator, **given), randomization(other_simulator, seed=9, **given)
    drawing.begin(all_done())
    drawing.noisy_action(torch.zeros(NUM_ENVS, 2))
    state = drawing.get_state()
    other.set_state(state)
    other._source.generator.set_state(drawing._source.generator.get_state())
    assert torch.equal(other_simulator.values["mass"], simulator.values["mass"])
    for one in (drawing, other):
        one.begin(all_done())
    assert len(simulator.told) == len(other_simulator.told) == 1, "one step since the draw, of two"
    actions = [one.noisy_action(torch.zeros(NUM_ENVS, 2)) for one in (drawing, other)]
    assert torch.equal(actions[0], actions[1])
    for one in (drawing, other):
        one.begin(all_done())
    assert torch.equal(other_simulator.values["mass"], simulator.values["mass"])


def test_what_a_simulator_cannot_change_is_named() -> None:
    with pytest.raises(ConfigError, match=r"sim=fake cannot randomize .*properties.friction: .*It can .*mass"):
        randomization(FakeSimulator(), friction=draw(0.5, 1.5))
