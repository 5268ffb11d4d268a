"""What people type who come from IsaacGymEnvs, key by key."""

import re

import pytest
import yaml

from amp_train.character import configured_character
from amp_train.config import compose, resolve
from amp_train.config.isaacgymenvs import CLIPS, KEYS, RATES, Fixed, Ignored, Refused, Renamed, translated
from amp_train.config.overrides import has_key
from amp_train.errors import ConfigError
from amp_train.motion import clip_facts, find_motion, load_motion

# The keys of IsaacGymEnvs 1.5.1's config.yaml and HumanoidAMP.yaml, with the values that they have there.
DEFAULTS = """
task_name: HumanoidAMP
torch_deterministic: false
physics_engine: physx
pipeline: gpu
graphics_device_id: 0
num_threads: 4
solver_type: 1
num_subscenes: 4
test: false
multi_gpu: false
wandb_activate: false
wandb_logcode_dir: ''
capture_video: false
capture_video_freq: 1464
capture_video_len: 100
force_render: true
pbt: no_pbt
task.physics_engine: physx
task.env.numEnvs: 64
task.env.envSpacing: 5
task.env.episodeLength: 300
task.env.cameraFollow: true
task.env.enableDebugVis: false
task.env.pdControl: true
task.env.powerScale: 1.0
task.env.controlFrequencyInv: 2
task.env.stateInit: Random
task.env.hybridInitProb: 0.5
task.env.numAMPObsSteps: 2
task.env.localRootObs: false
task.env.contactBodies: [right_foot, left_foot]
task.env.terminationHeight: 0.5
task.env.enableEarlyTermination: true
task.env.motion_file: amp_humanoid_run.npy
task.env.asset.assetFileName: mjcf/amp_humanoid.xml
task.env.plane.staticFriction: 1.0
task.env.plane.dynamicFriction: 1.0
task.env.plane.restitution: 0.0
task.sim.dt: 0.0166
task.sim.substeps: 2
task.sim.up_axis: z
task.sim.gravity: [0.0, 0.0, -9.81]
task.sim.physx.num_position_iterations: 4
task.sim.physx.contact_offset: 0.02
task.task.randomize: false
task.task.randomization_params.frequency: 600
"""


def typed(value):
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)


def test_everything_that_they_could_type_with_its_default_is_understood():
    given = [f"{key}={typed(value)}" for key, value in yaml.safe_load(DEFAULTS).items()]
    config = compose(given)
    assert config.num_envs == 64 and config.motion.name == "run" and config.video is False
    env = config.task.env
    assert (env.control_frequency_hz, config.sim.decimation, env.local_root_obs) == (30, 4, False)
    assert list(config.motion.contact_bodies) == ["right_foot", "left_foot"]


@pytest.mark.parametrize("key", sorted(KEYS))
def test_every_key_of_the_table_does_what_the_table_says(key, caplog):
    rule = KEYS[key]
    key = key.replace("*", "something")
    if isinstance(rule, Renamed):
        assert has_key(rule.key)
        assert translated([f"++{key}=[a]"]) == [f"{rule.key}=[a]"]
    elif isinstance(rule, Ignored):
        assert translated([key + "=3", "num_envs=4"]) == ["num_envs=4"]
        assert [record.message for record in caplog.records] == [
            f"No effect here: {key} ({rule.why})."
        ]  # fmt: skip
    elif isinstance(rule, Fixed):
        assert translated([f"{key}={typed(rule.values[0])}"]) == [] and not caplog.records
        with pytest.raises(ConfigError, match=re.escape(rule.instead)):
            translated([key + "=17"])
    else:
        assert isinstance(rule, Refused)
        assert has_key(rule.instead.split("=")[0]) or rule.instead.startswith(("task=", "pipeline="))
        with pytest.raises(ConfigError, match=re.escape("type " + rule.instead)):
            compose([key + "=1"])


def test_several_keys_without_effect_are_one_line(caplog):
    translated(["physics_engine=physx", "task.sim.physx.num_threads=4", "task.env.envSpacing=5"])
    (record,) = caplog.records
    assert all(word in record.message for word in ("physics_engine", "num_threads", "envSpacing"))


@pytest.mark.parametrize(
    "theirs, ours",
    [
        ("task.env.stateInit=Start", "task.env.state_init=Start"),
        ("++task.env.numAMPObsSteps=3", "task.env.num_amp_obs_steps=3"),
        ("task.env.terminationHeight=0.3", "task.env.termination_height=0.3"),
        ("task.env.motion_file=x.npy", "motion.file=x.npy"),
        ("motion_file=a/b.npz", "motion.file=a/b.npz"),
        ("num_envs=4", "num_envs=4"),
        ("num_envs=", "num_envs=null"),
        ("max_iterations=''", "max_iterations=null"),
        ('sigma=""', "sigma=null"),
        ("-m", "-m"),
        ("seed=1,2", "seed=1,2"),
    ],
)
def test_what_means_the_same_is_accepted(theirs, ours):
    assert translated([theirs]) == [ours]
    assert translated(translated([theirs])) == [ours]


@pytest.mark.parametrize("name", sorted(CLIPS))
@pytest.mark.parametrize("form", ["task.env.motion_file={}", "++task.env.motion_file={}", "motion_file=motions/{}"])
def test_their_clips_are_ours_of_that_kind_where_there_is_no_such_file(name, form, caplog):
    config = compose(["task=HumanoidAMP", form.format(name), "experiment=AMP"])
    assert config.motion.name == CLIPS[name]
    find_motion(config.motion.file)
    assert name in caplog.text and "motion=" + CLIPS[name] in caplog.text


def test_a_clip_of_theirs_that_is_there_is_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "amp_humanoid_walk.npy").write_bytes(b"theirs")
    assert translated(["++task.env.motion_file=amp_humanoid_walk.npy"]) == ["motion.file=amp_humanoid_walk.npy"]


def test_a_tilde_in_a_path_is_the_users_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert translated(["motion.file=~/x.npz", "train_dir=~"]) == ["motion.file=/home/me/x.npz", "train_dir=/home/me"]


def test_the_hop_has_no_clip_here():
    with pytest.raises(ConfigError, match="motion=jump"):
        translated(["task.env.motion_file=amp_humanoid_hop.npy"])


def test_a_sweep_over_their_clips():
    swept = translated(["-m", "task.env.motion_file=amp_humanoid_walk.npy,amp_humanoid_run.npy"])
    assert swept == ["-m", "motion=walk,run"]


HANDS = ["right_foot", "left_foot", "right_hand", "left_hand"]


def test_their_task_with_hands_is_the_cartwheel():
    config = compose(["task=HumanoidAMPHands"])
    assert (config.task.name, config.motion.name) == ("HumanoidAMP", "cartwheel")
    assert config.motion.contact_bodies is None and "contact_bodies" in config.motion.derive
    spec = configured_character(config.character)
    assert set(HANDS) <= set(clip_facts(load_motion(config.motion.file, spec).clips, spec).contact_bodies)
    again = compose(["task=HumanoidAMPHands", "task.env.motion_file=amp_humanoid_cartwheel.npy"])
    assert again.motion == config.motion


@pytest.mark.parametrize("motion", ["motion=run", "task.env.motion_file=amp_humanoid_run.npy", "motion.file=mine.npz"])
def test_their_task_with_hands_lets_the_hands_of_another_clip_down(motion):
    assert list(compose(["task=HumanoidAMPHands", motion, "motion.name=x"]).motion.contact_bodies) == HANDS
    feet = "task.env.contactBodies=[right_foot]"
    assert list(compose(["task=HumanoidAMPHands", motion, feet]).motion.contact_bodies) == ["right_foot"]


@pytest.mark.parametrize(
    "theirs, typed_here",
    [
        ("task.env.controlFrequencyInv=1", "task.env.control_frequency_hz=60 sim.decimation=2"),
        ("task.env.controlFrequencyInv=4", "task.env.control_frequency_hz=15 sim.decimation=8"),
        ("task.sim.substeps=4", "task.env.control_frequency_hz=30 sim.decimation=8 (with sim=isaacgym also"),
        ("task.sim.dt=0.005", "task.env.control_frequency_hz=100 sim.decimation=4"),
        ("task.sim.dt=0.005 task.env.controlFrequencyInv=4", "task.env.control_frequency_hz=50 sim.decimation=8"),
    ],
)
def test_other_rates_are_told_as_they_are_typed_here(theirs, typed_here):
    with pytest.raises(ConfigError) as caught:
        translated(theirs.split())
    message = str(caught.value)
    assert typed_here in message
    config = compose(re.findall(r"(?:task|sim)\.[a-z_.]+=\d+", message.split("Type ")[1].split(" (")[0]))
    given = {key: float(text) for key, text in (item.split("=") for item in theirs.split())}
    every, dt, substeps = (given.get(key, default) for key, default in RATES.items())
    physics_hz = config.task.env.control_frequency_hz * config.sim.decimation
    assert physics_hz == pytest.approx(substeps / dt, rel=0.01)
    assert config.task.env.control_frequency_hz == pytest.approx(1 / (dt * every), rel=0.01)


def test_a_rate_that_cannot_be_is_one_line():
    with pytest.raises(ConfigError, match="above 0"):
        translated(["task.sim.dt=0"])


def test_the_seed_minus_one_is_random_and_known_afterwards(caplog):
    seeds = {compose(["seed=-1"]).seed for _ in range(4)}
    assert len(seeds) == 4 and all(str(seed) in caplog.text for seed in seeds)


def test_processes_that_train_together_need_a_common_seed(monkeypatch):
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="set a number"):
        translated(["seed=-1"])


@pytest.mark.parametrize("train", [[], ["train=HumanoidAMPPPO"]])
@pytest.mark.parametrize("num_envs", [1, 64, 100, 131])
def test_any_number_of_environments_has_minibatches_that_fit(train, num_envs, caplog):
    overrides = [*train, f"num_envs={num_envs}"]
    agent = resolve(compose(overrides), overrides).train.params.config
    batch = num_envs * agent.horizon_length
    assert batch % agent.minibatch_size == 0 and agent.amp_minibatch_size <= agent.minibatch_size
    (record,) = [record for record in caplog.records if "minibatch_size" in record.message]
    assert f"minibatch_size={agent.minibatch_size}" in record.message


def test_minibatches_that_fit_stay_and_those_that_are_given_too(caplog):
    agent = resolve(compose(["num_envs=256"]), ["num_envs=256"]).train.params.config
    assert (agent.minibatch_size, agent.amp_minibatch_size) == (1024, 256)
    overrides = ["num_envs=100", "train.params.config.minibatch_size=1024"]
    assert resolve(compose(overrides), overrides).train.params.config.minibatch_size == 1024
    assert "minibatch" not in caplog.text


@pytest.mark.parametrize("file, name", [("clips/mine.npz", "mine"), ("run", "run"), ("a.b.npy", "a.b")])
def test_a_file_of_ones_own_names_the_motion(file, name):
    overrides = ["motion.file=" + file]
    assert resolve(compose(overrides), overrides).motion.name == name
    named = [*overrides, "motion.name=other"]
    assert resolve(compose(named), named).motion.name == "other"


def test_their_capture_video_is_yes_or_no_and_ours_a_number():
    assert translated(["capture_video=True", "capture_video=false"]) == ["video=True", "video=false"]
    assert translated(["capture_video=20"]) == ["capture_video=20"]
