"""The schema of everything that can be configured: with it registered, a strange key or type fails when Hydra composes.

Keys that IsaacGymEnvs and rl_games users already type keep their names; `train.params` is in `train_schema`.
"""

from dataclasses import dataclass, field
from typing import List, Optional

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from amp_train.character.settings import CharacterConfig
from amp_train.config.randomization import RandomizationConfig
from amp_train.config.train_schema import TrainConfig
from amp_train.sim.factory import BACKENDS
from amp_train.sim.settings import SimConfig

GROUPS = ("task", "sim", "character", "motion", "train", "recipe")
# What a checkpoint's configuration decides when it is continued or played.
TRAINED_KEYS = ("task", "sim", "character", "motion", "train", "num_envs", "seed", "max_iterations")
LIMITS = ("train.params.config.max_epochs", "train.params.config.max_frames")


@dataclass
class EnvConfig:
    """What an episode is."""

    episode_length: int = 300  # control steps
    control_frequency_hz: int = 30
    num_amp_obs_steps: int = 2
    local_root_obs: bool = False
    state_init: str = "Random"  # Default | Start | Random | Hybrid | Adaptive
    hybrid_init_prob: float = 0.5
    early_termination: bool = True
    termination_height: float = 0.5  # m
    fall_height_ratio: float = 0.0  # share of each fall body's lowest height in the clip; 0 is off


@dataclass
class TaskConfig:
    name: str = MISSING
    env: EnvConfig = field(default_factory=EnvConfig)
    task: RandomizationConfig = field(default_factory=RandomizationConfig)  # IsaacGymEnvs' place for it


@dataclass
class MotionConfig:
    name: str = MISSING
    file: str = MISSING  # a clip or a weighted data set (YAML): a path, or a bundled name
    contact_bodies: Optional[List[str]] = None  # bodies that may touch the ground; null: the character's; [all]: any
    termination_height: Optional[float] = None  # m; null: the task's
    state_init: Optional[str] = None  # null: the task's
    rise_height: Optional[float] = None  # m; an episode ends when the root was below this ...
    max_low_s: Optional[float] = None  # ... for longer than this; both null: it may stay low
    retime_flights: bool = False  # play leaps that were slowed down as fast as gravity has it


@dataclass
class Config:
    """The composed configuration of a training."""

    task: TaskConfig = field(default_factory=TaskConfig)
    sim: SimConfig = field(default_factory=SimConfig)  # of a backend's own class: sim/settings.py
    character: CharacterConfig = field(default_factory=CharacterConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    experiment: Optional[str] = None
    train_dir: str = "runs"
    num_envs: Optional[int] = None
    seed: int = 42
    max_iterations: Optional[int] = None
    checkpoint: Optional[str] = None
    resume: Optional[str] = None  # auto | never | a run directory or checkpoint; null: auto in a batch job
    resume_allow: List[str] = field(default_factory=list)  # keys or groups that may differ from the checkpoint's
    test: bool = False
    video: bool = True
    eval_interval: int = 40  # iterations; 0: never
    max_time_s: Optional[float] = None  # stop and save after so long
    max_diverged_share: float = 0.01  # of the environment steps; with more, the training stops
    sigma: Optional[float] = None

    sim_device: Optional[str] = None  # null: the first GPU for a simulator that uses one, else cpu
    rl_device: Optional[str] = None
    pipeline: str = "gpu"  # gpu | cpu: where sim=isaacgym leaves the state that a GPU simulates
    num_threads: Optional[int] = None
    multi_gpu: bool = False
    multi_gpu_timeout_s: float = 120.0  # a rank that is silent for longer is given up
    torch_deterministic: bool = False
    headless: bool = True

    wandb_activate: bool = False
    wandb_project: str = "amp_train"
    wandb_entity: Optional[str] = None
    wandb_group: Optional[str] = None
    wandb_name: Optional[str] = None
    wandb_tags: List[str] = field(default_factory=list)


def register_schema() -> None:
    """Make the schema known to Hydra: the name that `conf/config.yaml` starts from, and those that `conf/sim` does."""
    store = ConfigStore.instance()
    store.store(name="amp_train_schema", node=Config, provider="amp_train")
    for name, backend in BACKENDS.items():
        store.store(group="sim_schema", name=name, node=backend.config, provider="amp_train")
