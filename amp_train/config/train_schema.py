"""The schema of `train.params`: rl_games' parameter tree with rl_games' and IsaacGymEnvs' own key names.

A null value means "not given": the key is left out of what rl_games receives, which then uses its own default.
"""

from dataclasses import dataclass, field
from typing import Any, List, Optional

from omegaconf import MISSING


@dataclass
class NamedConfig:
    name: str = MISSING


@dataclass
class InitializerConfig:
    name: str = "default"
    val: Optional[float] = None
    gain: Optional[float] = None
    scale: Optional[float] = None
    a: Optional[float] = None
    b: Optional[float] = None


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
    units: List[int] = MISSING
    activation: str = "relu"
    d2rl: bool = False
    initializer: InitializerConfig = field(default_factory=InitializerConfig)
    regularizer: RegularizerConfig = field(default_factory=RegularizerConfig)


@dataclass
class DiscConfig:
    units: List[int] = MISSING
    activation: str = "relu"
    initializer: InitializerConfig = field(default_factory=InitializerConfig)


@dataclass
class NetworkConfig:
    name: str = "amp"
    separate: bool = True
    space: SpaceConfig = field(default_factory=SpaceConfig)
    mlp: MlpConfig = field(default_factory=MlpConfig)
    disc: DiscConfig = field(default_factory=DiscConfig)


@dataclass
class RewardShaperConfig:
    scale_value: float = 1.0
    shift_value: float = 0.0  # added to the task reward before scaling


@dataclass
class AgentConfig:
    """`train.params.config`: PPO, then the discriminator."""

    name: str = MISSING
    full_experiment_name: Optional[str] = None
    env_name: str = "amp_train"
    device: str = "cpu"
    device_name: str = "cpu"
    multi_gpu: bool = False
    num_actors: int = MISSING
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
    gamma: float = MISSING
    tau: float = MISSING
    learning_rate: float = MISSING
    lr_schedule: str = "constant"
    schedule_type: str = "legacy"  # adaptive rate: legacy changes per minibatch, standard per mini epoch
    kl_threshold: float = 0.008
    score_to_win: float = 20000.0
    max_epochs: int = -1
    max_frames: int = -1  # limit in samples, -1: none
    save_best_after: int = 100
    save_frequency: int = 50
    save_interval_s: float = 120.0
    save_max_share: float = 0.01
    keep_checkpoints: int = 2
    save_intermediate: bool = True
    print_stats: bool = False  # rl_games' own line per iteration
    games_to_track: int = 100  # episodes averaged for the mean reward
    entropy_coef: float = 0.0
    truncate_grads: bool = False
    grad_norm: float = 1.0
    weight_decay: float = 0.0  # Adam's weight decay of policy and value
    e_clip: float = MISSING
    clip_value: bool = False
    clip_actions: bool = True  # clamp actions to [-1, 1]
    use_smooth_clamp: bool = False  # smooth form of PPO's clipping
    advantage_clip: Optional[float] = None  # largest absolute normalised advantage; null: no limit
    warm_start_steps: int = 0  # steps of behaviour cloning on the clip before the first rollout; 0: none
    horizon_length: int = MISSING
    minibatch_size: int = MISSING
    mini_epochs: int = MISSING
    critic_coef: float = MISSING
    bounds_loss_coef: Optional[float] = None

    amp_obs_demo_buffer_size: int = MISSING
    amp_replay_buffer_size: int = MISSING
    amp_replay_keep_prob: float = MISSING
    amp_batch_size: int = MISSING
    amp_minibatch_size: int = MISSING
    disc_loss: str = "bce"  # bce: cross-entropy, as IsaacGymEnvs | lsgan: least squares, as the AMP paper
    disc_learning_rate: Optional[float] = None  # the discriminator's own constant rate; null: the policy's
    disc_coef: float = MISSING
    disc_logit_reg: float = MISSING
    disc_grad_penalty: float = MISSING
    disc_reward_scale: float = MISSING
    disc_weight_decay: float = MISSING
    normalize_amp_input: bool = True
    task_reward_w: float = MISSING
    disc_reward_w: float = MISSING


@dataclass
class ParamsConfig:
    seed: int = 42
    torch_threads: int = 0
    algo: NamedConfig = field(default_factory=NamedConfig)
    model: NamedConfig = field(default_factory=NamedConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    load_checkpoint: bool = False
    load_path: Optional[str] = None
    config: AgentConfig = field(default_factory=AgentConfig)


@dataclass
class TrainConfig:
    name: str = MISSING
    params: ParamsConfig = field(default_factory=ParamsConfig)
