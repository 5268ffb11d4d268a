"""The schema of everything that can be configured: an unknown key or a wrong type fails when Hydra composes.

Keys that IsaacGymEnvs and rl_games users already type keep their names. Every number carries its range (`between`,
`above`), every fixed set of words its choices (`one_of`); `validate.py` checks both. Keys below `train.params` that are
null are left out of what rl_games receives, which then uses its own default.
"""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from amp_train.ranges import above, between, one_of
from amp_train.sim.factory import BACKENDS
from amp_train.sim.settings import SimConfig

GROUPS = ("task", "sim", "character", "motion", "train", "recipe")
# Keys that come from the checkpoint's configuration when it is continued or played.
TRAINED_KEYS = ("task", "sim", "character", "motion", "train", "num_envs", "seed", "max_iterations")
LIMITS = ("train.params.config.max_epochs", "train.params.config.max_frames")
ACTOR = "humanoid"  # IsaacGymEnvs' name for the character in `actor_params`, whichever it is

MAX_SEED = 2**32 - 1
MAX_STEPS = 10**12  # control steps
MAX_ROWS = 10**7  # of a buffer
MAX_WEIGHT = 1e6  # of a term of the loss or of the reward

# ---- task.task: domain randomisation, with the keys of IsaacGymEnvs' task files; times are control steps


@dataclass
class DrawConfig:
    """A random number, and how it is applied."""

    range: List[float] = between(-1e9, 1e9)  # uniform, loguniform: least and largest; gaussian: mean and deviation
    operation: str = one_of("additive", "scaling")
    distribution: str = one_of("gaussian", "uniform", "loguniform")
    schedule: Optional[str] = one_of("linear", "constant", default=None)  # linear: grows; constant: starts late
    schedule_steps: Optional[int] = between(1, MAX_STEPS, None)  # ... until, or from, this control step


@dataclass
class NoiseConfig(DrawConfig):
    """Noise that is drawn in each control step."""

    distribution: str = one_of("gaussian", "uniform")
    range_correlated: Optional[List[float]] = between(-1e9, 1e9, None)  # of a part kept for `frequency` steps


@dataclass
class ParameterConfig(DrawConfig):
    """A physical parameter, drawn when an episode begins."""

    num_buckets: int = between(0, 64000, 0)  # 0: any value, else one of this many
    setup_only: bool = False  # drawn once


@dataclass
class SimParamsConfig:
    gravity: Optional[ParameterConfig] = None


@dataclass
class RigidBodyConfig:
    mass: Optional[ParameterConfig] = None


@dataclass
class RigidShapeConfig:
    friction: Optional[ParameterConfig] = None


@dataclass
class DofConfig:
    stiffness: Optional[ParameterConfig] = None
    damping: Optional[ParameterConfig] = None
    lower: Optional[ParameterConfig] = None
    upper: Optional[ParameterConfig] = None


@dataclass
class ActorConfig:
    color: bool = False  # accepted for IsaacGymEnvs' files, without effect
    rigid_body_properties: RigidBodyConfig = field(default_factory=RigidBodyConfig)
    rigid_shape_properties: RigidShapeConfig = field(default_factory=RigidShapeConfig)
    dof_properties: DofConfig = field(default_factory=DofConfig)


@dataclass
class RandomizationParams:
    frequency: int = between(1, MAX_STEPS, 1)  # an environment keeps its draws at least this long
    observations: Optional[NoiseConfig] = None
    actions: Optional[NoiseConfig] = None
    sim_params: SimParamsConfig = field(default_factory=SimParamsConfig)
    actor_params: Dict[str, ActorConfig] = field(default_factory=dict)


@dataclass
class RandomizationConfig:
    randomize: bool = False
    randomization_params: RandomizationParams = field(default_factory=RandomizationParams)


# ---- task, sim, character, motion


@dataclass
class EnvConfig:
    """Episodes and observations."""

    episode_length: int = between(1, 10**7, 300)  # control steps
    control_frequency_hz: int = between(1, 10**4, 30)
    num_amp_obs_steps: int = between(1, 256, 2)
    local_root_obs: bool = False  # root rotation in the heading frame: the clip's heading is not part of the style
    state_init: str = "Random"  # Default | Start | Random | Hybrid | Adaptive
    hybrid_init_prob: float = between(0.0, 1.0, 0.5)
    early_termination: bool = True
    termination_height: float = between(-1e3, 1e3, 0.5)  # m
    fall_height_ratio: float = between(0.0, 1.0, 0.0)  # share of a fall body's lowest height in the clip; 0 is off


@dataclass
class TaskConfig:
    name: str = MISSING
    env: EnvConfig = field(default_factory=EnvConfig)
    task: RandomizationConfig = field(default_factory=RandomizationConfig)  # IsaacGymEnvs' place for it
    goal: Dict[str, Any] = field(default_factory=dict)  # the task's own settings, typed by its dataclass (env/tasks)


@dataclass
class CharacterConfig:
    """A character is an MJCF file and these keys (docs/characters.md).

    Values by joint are given by the joint's name, by the name of one axis of a spherical joint (`hip_x`), or by a
    pattern with `*`; if several match, the last one wins. What is not given comes from the MJCF.
    """

    name: str = MISSING
    mjcf: str = MISSING  # path of the file, or the name of a bundled one
    key_bodies: List[str] = MISSING  # their positions are observed
    contact_bodies: List[str] = MISSING  # may touch the ground
    fall_bodies: List[str] = MISSING  # what fall_height_ratio watches
    stiffness: Optional[Dict[str, float]] = between(0.0, 1e6, {})  # PD stiffness, N m/rad by joint
    damping: Optional[Dict[str, float]] = between(0.0, 1e6, {})  # PD damping, N m s/rad by joint
    torque_limits: Optional[Dict[str, float]] = above(0.0, 1e6, {})  # largest torque of the whole drive, N m by joint
    armature: Optional[Dict[str, float]] = between(0.0, 1e3, {})  # added inertia, kg m^2 by joint
    action_scale: Optional[Dict[str, float]] = above(
        0.0, 100.0, {}
    )  # rad by joint; target: default pose + scale * action
    default_dof_pos: Optional[Dict[str, float]] = between(-10.0, 10.0, {})  # default pose, rad by joint
    limit_ball_joints: bool = False  # spherical joints have limits: ball_ranges, else the MJCF's
    ball_ranges: Optional[Dict[str, List[Any]]] = field(default_factory=dict)  # degrees: [lower, upper] about x, y, z


@dataclass
class AugmentConfig:
    """Additional variants of the clips; off by default."""

    mirror: bool = False  # add the clips mirrored
    arcs_deg_s: List[float] = between(-180.0, 180.0, [])  # add clips (those that repeat) bent at these rates, left +
    tempo: List[float] = between(0.5, 2.0, [])  # add clips played this many times as fast


# What can be read off a clip: motion.contact_bodies; motion.rise_height and max_low_s; character.torque_limits.
DERIVED = ("contact_bodies", "low_posture", "torque_limits")


@dataclass
class MotionConfig:
    name: str = MISSING
    file: str = MISSING  # a clip or a weighted data set (YAML): a path, or a bundled name
    contact_bodies: Optional[List[str]] = None  # bodies that may touch the ground; null: the character's; [all]: any
    termination_height: Optional[float] = between(-1e3, 1e3, None)  # as task.env.termination_height; null: the task's
    state_init: Optional[str] = None  # as task.env.state_init; null: the task's
    rise_height: Optional[float] = above(0.0, 1e5, None)  # m; end an episode when the root stays below this ...
    max_low_s: Optional[float] = above(0.0, 1e5, None)  # ... for longer than this; both null: no limit
    derive: List[str] = field(
        default_factory=lambda: list(DERIVED), metadata={"choices": DERIVED}
    )  # what is taken from the clip where it is not given (docs/your_own_clip.md)
    retime_flights: bool = False  # play leaps that were slowed down as fast as gravity requires
    augment: AugmentConfig = field(default_factory=AugmentConfig)


# ---- train.params: rl_games' parameter tree, with rl_games' and IsaacGymEnvs' own key names


@dataclass
class InitializerConfig:
    name: str = "default"
    val: Optional[float] = between(-1e3, 1e3, None)
    gain: Optional[float] = between(-1e3, 1e3, None)
    scale: Optional[float] = between(-1e3, 1e3, None)
    a: Optional[float] = between(-1e3, 1e3, None)
    b: Optional[float] = between(-1e3, 1e3, None)


@dataclass
class RegularizerConfig:
    name: str = "None"


@dataclass
class ContinuousSpaceConfig:
    mu_activation: str = "None"
    sigma_activation: str = "None"
    mu_init: InitializerConfig = field(default_factory=InitializerConfig)
    sigma_init: InitializerConfig = field(default_factory=InitializerConfig)
    fixed_sigma: bool = True
    learn_sigma: bool = False


@dataclass
class SpaceConfig:
    continuous: ContinuousSpaceConfig = field(default_factory=ContinuousSpaceConfig)


@dataclass
class MlpConfig:
    units: List[int] = between(1, 2**14)
    activation: str = "relu"
    d2rl: bool = False
    initializer: InitializerConfig = field(default_factory=InitializerConfig)
    regularizer: RegularizerConfig = field(default_factory=RegularizerConfig)


@dataclass
class DiscConfig:
    units: List[int] = between(1, 2**14)
    activation: str = "relu"
    initializer: InitializerConfig = field(default_factory=InitializerConfig)


@dataclass
class NetworkConfig:
    name: str = one_of("amp", default="amp")
    separate: bool = True
    space: SpaceConfig = field(default_factory=SpaceConfig)
    mlp: MlpConfig = field(default_factory=MlpConfig)
    disc: DiscConfig = field(default_factory=DiscConfig)


@dataclass
class AlgoConfig:
    name: str = one_of("amp_continuous")


@dataclass
class ModelConfig:
    name: str = one_of("continuous_amp")


@dataclass
class RewardShaperConfig:
    scale_value: float = between(-1e6, 1e6, 1.0)
    shift_value: float = between(-1e6, 1e6, 0.0)  # added to the task reward before scaling


@dataclass
class AgentConfig:
    """`train.params.config`: PPO, then the discriminator."""

    name: str = MISSING
    full_experiment_name: Optional[str] = None
    env_name: str = "amp_train"
    device: str = "cpu"
    device_name: str = "cpu"
    multi_gpu: bool = False
    num_actors: int = between(1, 2**20)
    train_dir: str = "runs"

    ppo: bool = True
    mixed_precision: Any = False  # True | False | auto
    torch_compile: bool = False
    use_diagnostics: bool = False  # rl_games' diagnostics in tensorboard
    normalize_input: bool = True
    normalize_value: bool = True
    normalize_advantage: bool = True
    normalize_obs_every_mini_epoch: bool = False  # True: update observation statistics once per mini epoch
    reward_shaper: RewardShaperConfig = field(default_factory=RewardShaperConfig)
    gamma: float = between(0.0, 1.0)
    tau: float = between(0.0, 1.0)
    learning_rate: float = above(0.0, 1.0)
    lr_schedule: str = one_of("adaptive", "constant", "linear", default="constant")
    schedule_type: str = one_of("legacy", "standard", default="legacy")  # per minibatch; standard: per mini epoch
    kl_threshold: float = above(0.0, 1e3, 0.008)
    score_to_win: float = between(-1e12, 1e12, 20000.0)
    max_epochs: int = between(-1, 10**9, -1)
    max_frames: int = between(-1, 10**15, -1)  # limit in samples, -1: none
    save_best_after: int = between(0, 10**9, 100)
    save_frequency: int = between(0, 10**9, 50)
    save_interval_s: float = between(0.0, 1e9, 120.0)
    save_max_share: float = above(0.0, 1.0, 0.01)
    keep_checkpoints: int = between(1, 1000, 2)
    save_intermediate: bool = True
    print_stats: bool = False  # rl_games' own line per iteration
    games_to_track: int = between(1, 10**6, 100)  # episodes averaged for the mean reward
    entropy_coef: float = between(0.0, MAX_WEIGHT, 0.0)
    truncate_grads: bool = False
    grad_norm: float = above(0.0, 1e6, 1.0)
    weight_decay: float = between(0.0, 1.0, 0.0)  # Adam's weight decay of policy and value
    e_clip: float = above(0.0, 1.0)
    clip_value: bool = False
    clip_actions: bool = True  # clamp actions to [-1, 1]
    use_smooth_clamp: bool = False  # smooth form of PPO's clipping
    advantage_clip: Optional[float] = above(0.0, 1e6, None)  # largest absolute normalised advantage
    warm_start_steps: int = between(0, 10**6, 0)  # behaviour cloning steps before the first rollout; 0: none
    horizon_length: int = between(1, 2**16)
    minibatch_size: int = between(1, 2**24)
    mini_epochs: int = between(1, 1000)
    critic_coef: float = between(0.0, MAX_WEIGHT)
    bounds_loss_coef: Optional[float] = between(0.0, MAX_WEIGHT, None)

    amp_obs_demo_buffer_size: int = between(1, MAX_ROWS)
    amp_replay_buffer_size: int = between(1, MAX_ROWS)
    amp_replay_keep_prob: float = between(0.0, 1.0)
    amp_batch_size: int = between(1, 2**24)
    amp_minibatch_size: int = between(1, 2**24)
    discriminator: str = "amp"  # registered name of the discriminator (docs/extending.md)
    discriminator_settings: Any = None  # a mapping of the keys that only this discriminator has
    disc_loss: str = "bce"  # bce: cross-entropy, as IsaacGymEnvs | lsgan: least squares, as the AMP paper
    disc_learning_rate: Optional[float] = above(0.0, 1.0, None)  # its own constant rate; null: the policy's
    disc_coef: float = between(0.0, MAX_WEIGHT)
    disc_logit_reg: float = between(0.0, MAX_WEIGHT)
    disc_grad_penalty: float = between(0.0, MAX_WEIGHT)
    disc_reward_scale: float = between(0.0, MAX_WEIGHT)
    disc_weight_decay: float = between(0.0, MAX_WEIGHT)
    normalize_amp_input: bool = True
    task_reward_w: float = between(0.0, MAX_WEIGHT)
    disc_reward_w: float = between(0.0, MAX_WEIGHT)


@dataclass
class ParamsConfig:
    seed: int = between(0, MAX_SEED, 42)
    torch_threads: int = between(0, 4096, 0)
    algo: AlgoConfig = field(default_factory=AlgoConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    load_checkpoint: bool = False
    load_path: Optional[str] = None
    config: AgentConfig = field(default_factory=AgentConfig)


@dataclass
class TrainConfig:
    name: str = MISSING
    params: ParamsConfig = field(default_factory=ParamsConfig)


# ---- everything


@dataclass
class Config:
    """The composed configuration of a training."""

    task: TaskConfig = field(default_factory=TaskConfig)
    sim: SimConfig = field(default_factory=SimConfig)  # of a backend's own class: sim/settings.py
    character: CharacterConfig = field(default_factory=CharacterConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    task_file: Optional[str] = None  # a Python file of your own that registers tasks; never a checkpoint's
    experiment: Optional[str] = None
    train_dir: str = "runs"
    num_envs: Optional[int] = between(1, 2**20, None)
    seed: int = between(0, MAX_SEED, 42)
    max_iterations: Optional[int] = between(1, 10**9, None)
    checkpoint: Optional[str] = None
    resume: Optional[str] = None  # auto | never | a run directory or checkpoint; null: auto in a batch job
    resume_allow: List[str] = field(default_factory=list)  # keys or groups that may differ from the checkpoint's
    test: bool = False
    video: bool = True
    eval_interval: int = between(0, 10**9, 40)  # iterations; 0: never
    capture_video: int = between(0, 10**9, 0)  # iterations between videos of the policy; 0: none
    max_time_s: Optional[float] = above(0.0, 1e9, None)  # stop and save after this time
    max_diverged_share: float = between(0.0, 1.0, 0.01)  # of the environment steps; above it, the training stops
    sigma: Optional[float] = between(-20.0, 5.0, None)  # log standard deviation

    sim_device: Optional[str] = None  # null: the first GPU for a simulator that uses one, else cpu
    rl_device: Optional[str] = None
    pipeline: str = one_of("gpu", "cpu", default="gpu")  # where sim=isaacgym leaves the state that a GPU simulates
    num_threads: Optional[int] = between(1, 4096, None)
    multi_gpu: bool = False
    multi_gpu_timeout_s: float = above(0.0, 1e6, 120.0)  # a rank that is silent for longer counts as lost
    torch_deterministic: bool = False
    headless: bool = True

    wandb_activate: bool = False
    wandb_project: str = "amp_train"
    wandb_entity: Optional[str] = None
    wandb_group: Optional[str] = None
    wandb_name: Optional[str] = None
    wandb_tags: List[str] = field(default_factory=list)


def register_schema() -> None:
    """Register the schema with Hydra, under the names that `conf/config.yaml` and `conf/sim` use."""
    store = ConfigStore.instance()
    schema = OmegaConf.structured(Config)
    OmegaConf.set_struct(schema.task.goal, False)  # the task decides which keys it has
    store.store(name="amp_train_schema", node=schema, provider="amp_train")
    for name, backend in BACKENDS.items():
        store.store(group="sim_schema", name=name, node=backend.config, provider="amp_train")
