"""Translation of IsaacGymEnvs' command lines, and of `~` in paths, which neither the shell nor Hydra expands there.

Arguments with an equivalent are rewritten, those that can have no effect here are dropped with one warning line, and
those that would change the result are refused with what to type instead.
"""

import logging
import os
import random
import re
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import yaml

from amp_train.config.overrides import has_key
from amp_train.config.schema import MAX_SEED
from amp_train.distributed.launch import launched
from amp_train.errors import ConfigError

logger = logging.getLogger(__name__)


class Renamed(NamedTuple):
    """The same setting under another name."""

    key: str


class Ignored(NamedTuple):
    """It has no effect here; the warning says `why`."""

    why: str


class Fixed(NamedTuple):
    """These values match the behaviour here; for any other, `instead` is the advice."""

    values: Tuple[Any, ...]
    instead: str


class Refused(NamedTuple):
    """Another key sets it; `instead` is what to type."""

    instead: str


GRAVITY = "gravity is 9.81 m/s^2; with sim=mujoco the character's MJCF file can set another value (character.mjcf=)"
Rule = Union[Renamed, Ignored, Fixed, Refused]
FRICTION = "friction is set by the geoms in the character's MJCF file (character.mjcf=)"

# Their key, or all keys below it ("a.b.*") -> its rule. Camel-case spellings of our own keys need no entry.
KEYS: Dict[str, Rule] = {
    "task.env.numEnvs": Renamed("num_envs"),
    "task.env.contactBodies": Renamed("motion.contact_bodies"),
    "task.env.enableEarlyTermination": Renamed("task.env.early_termination"),
    "full_experiment_name": Renamed("experiment"),
    "train.params.load_path": Refused("checkpoint=PATH"),
    "train.params.load_checkpoint": Refused("checkpoint=PATH"),
    "train.params.seed": Refused("seed=N"),
    "train.params.torch_threads": Refused("num_threads=N"),
    "train.params.config.multi_gpu": Refused("multi_gpu=True"),
    "train.params.config.num_actors": Refused("num_envs=N"),
    "train.params.config.full_experiment_name": Refused("experiment=NAME"),
    "train.params.config.train_dir": Refused("train_dir=FOLDER"),
    "train.params.config.device": Refused("rl_device=DEVICE"),
    "train.params.config.device_name": Refused("rl_device=DEVICE"),
    "train.params.config.env_name": Refused("task=NAME"),
    "task.sim.use_gpu_pipeline": Refused("pipeline=gpu or pipeline=cpu"),
    "task.env.asset.assetFileName": Fixed(("mjcf/amp_humanoid.xml",), "character.mjcf=FILE.xml takes an MJCF file"),
    "task.env.pdControl": Fixed((True,), "actions are PD targets; torque control is not supported"),
    "task.env.powerScale": Fixed((1,), "the torque limits are character.torque_limits={joint: N m}"),
    "task.env.plane.staticFriction": Fixed((1,), FRICTION),
    "task.env.plane.dynamicFriction": Fixed((1,), FRICTION),
    "task.env.plane.restitution": Fixed((0,), "contacts have no restitution"),
    "task.sim.gravity": Fixed(
        ([0, 0, -9.81],),
        GRAVITY,
    ),
    "task.sim.up_axis": Fixed(("z",), "the z axis points up"),
    "up_axis": Fixed(("z",), "the z axis points up"),
    "task_name": Fixed(("HumanoidAMP", "HumanoidAMPHands"), "task=NAME chooses the task"),
    "pbt": Fixed(("no_pbt",), "there is no population-based training; amp-train -m sweeps"),
    "pbt.enabled": Fixed((False,), "there is no population-based training; amp-train -m sweeps"),
    "pbt.*": Ignored("there is no population-based training"),
    "task.sim.physx.*": Ignored("a setting of PhysX"),
    "solver_type": Ignored("a setting of PhysX"),
    "num_subscenes": Ignored("a setting of PhysX"),
    "physics_engine": Ignored("sim= chooses the simulator"),
    "task.physics_engine": Ignored("sim= chooses the simulator"),
    "task.env.envSpacing": Ignored("environments do not share a scene"),
    "task.env.cameraFollow": Ignored("the camera of a video follows the character"),
    "task.env.enableDebugVis": Ignored("there are no debug drawings"),
    "graphics_device_id": Ignored("videos are rendered offscreen"),
    "force_render": Ignored("headless= says whether there is a window"),
    "capture_video_freq": Ignored("capture_video=N records a video every N iterations"),
    "capture_video_len": Ignored("videos while training last 3 s"),
    "wandb_logcode_dir": Ignored("code is not uploaded"),
    "train.params.config.value_bootstrap": Ignored("AMP bootstraps time limits exactly"),
    "train.params.config.seq_len": Ignored("the policy is not recurrent"),
    "train.params.config.seq_length": Ignored("the policy is not recurrent"),
}
MOTION_KEYS = ("task.env.motion_file", "motion_file")
# Their clips -> our clips of the same kind.
CLIPS = {f"amp_humanoid_{name}.npy": name for name in ("walk", "run", "dance", "backflip", "cartwheel")}
HOP = "amp_humanoid_hop.npy"
# Their rates: physics at substeps / dt = 120 Hz, a control step every controlFrequencyInv * dt = 1/30 s.
RATES: Dict[str, float] = {"task.env.controlFrequencyInv": 2, "task.sim.dt": 1 / 60, "task.sim.substeps": 2}
SAME_RATE = 0.01  # dt is written as 0.0166
HANDS_TASK = "HumanoidAMPHands"
HANDS_CONTACT = "motion.contact_bodies=[right_foot,left_foot,right_hand,left_hand]"
_ARGUMENT = re.compile(r"\+{0,2}([A-Za-z_][A-Za-z0-9_.]*)=(.*)", re.DOTALL)


def translated(arguments: Sequence[str]) -> List[str]:
    """Return a command line with IsaacGymEnvs' keys replaced by ours; other arguments are unchanged.

    Raises:
        ConfigError: a key whose meaning would be lost, with what to type instead.
    """
    arguments = [_expanded(argument) for argument in arguments]
    given = {match.group(1): match.group(2) for match in map(_ARGUMENT.fullmatch, arguments) if match}
    _check_rates({key: text for key, text in given.items() if key in RATES})
    ignored: List[str] = []
    found: List[str] = []
    for argument in arguments:
        found += _translate(argument, given, ignored)
    if ignored:
        _say("No effect here: %s.", "; ".join(ignored))
    return found


def _expanded(argument: str) -> str:
    """Expand a user's home at the beginning of a value."""
    key, equals, path = argument.partition("=")
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise ConfigError(f"{argument} names a user that does not exist on this machine. Give the full path.")
    return key + equals + expanded


def _translate(argument: str, given: Dict[str, str], ignored: List[str]) -> List[str]:
    """Return the arguments that replace one."""
    match = _ARGUMENT.fullmatch(argument)
    if match is None:
        return [argument]
    key, text = match.groups()
    special = _SPECIAL.get(key)
    if special is not None:
        return special(argument, text, given)
    rule = KEYS.get(key) or _rule_above(key)
    if isinstance(rule, Ignored):
        ignored.append(f"{key} ({rule.why})")
        return []
    if isinstance(rule, Refused):
        raise ConfigError(f"{key} has another name here: type {rule.instead}.")
    if isinstance(rule, Fixed):
        if _value(text) in rule.values:
            return []
        raise ConfigError(f"{key}={text} is not supported: {rule.instead}.")
    ours = rule.key if isinstance(rule, Renamed) else _snake_case(key)
    return [argument if ours is None else f"{ours}={text}"]


def _say(text: str, *values: Any) -> None:
    """Warn, once for all processes of a training."""
    launch = launched()
    logger.log(logging.WARNING if launch is None or launch.rank == 0 else logging.DEBUG, text, *values)


def _rule_above(key: str) -> Optional[Rule]:
    return next((KEYS[above] for above in KEYS if above.endswith(".*") and key.startswith(above[:-1])), None)


def _snake_case(key: str) -> Optional[str]:
    """Return the key of the schema that is spelled in camel case."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", key).lower()
    return snake if snake != key and not has_key(key) and has_key(snake) else None


def _value(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _check_rates(given: Dict[str, str]) -> None:
    """Accept the rates that are used here; for others, say what to type."""
    if not given:
        return
    values = {key: _value(given[key]) if key in given else default for key, default in RATES.items()}
    if not all(isinstance(value, (int, float)) and value > 0 for value in values.values()):
        raise ConfigError(f"{', '.join(given)} must be above 0.")
    every, dt, substeps = values.values()
    control_hz, decimation = 1.0 / (every * dt), every * substeps
    if abs(control_hz / 30.0 - 1.0) <= SAME_RATE and decimation == 4:
        return
    isaacgym = "" if substeps == 2 else f" (with sim=isaacgym also sim.substeps={substeps:g})"
    typed = " ".join(f"{key}={text}" for key, text in given.items())
    raise ConfigError(
        f"{typed} means {control_hz:.0f} control steps and {substeps / dt:.0f} physics steps a second. Type "
        f"task.env.control_frequency_hz={control_hz:.0f} sim.decimation={decimation:g}{isaacgym}."
    )


def _rate(argument: str, text: str, given: Dict[str, str]) -> List[str]:
    return []  # `_check_rates` has accepted it


def _seed(argument: str, text: str, given: Dict[str, str]) -> List[str]:
    if text.strip() != "-1":
        return [argument]
    launch = launched()
    if launch is not None and launch.world_size > 1:
        raise ConfigError("seed=-1 (random) would differ between the processes of a training: set a number.")
    seed = random.SystemRandom().randint(0, MAX_SEED)
    _say("seed=-1 is random: seed=%d.", seed)
    return [f"seed={seed}"]


def _task(argument: str, text: str, given: Dict[str, str]) -> List[str]:
    """Their task for the cartwheel is HumanoidAMP with hands that may touch the ground."""
    if text != HANDS_TASK:
        return [argument]
    clip = next((given[key] for key in (*MOTION_KEYS, "motion.file") if key in given), None)
    if "motion" not in given and clip is None:
        return ["task=HumanoidAMP", "motion=cartwheel"]
    its_own = given.get("motion") == "cartwheel" or CLIPS.get(Path(clip or "").name) == "cartwheel"
    is_given = {"motion.contact_bodies", "task.env.contactBodies"} & set(given)
    return ["task=HumanoidAMP"] if its_own or is_given else ["task=HumanoidAMP", HANDS_CONTACT]


def _motion_file(argument: str, text: str, given: Dict[str, str]) -> List[str]:
    """Use an existing path; translate the name of one of their clips to ours of that kind."""
    clips = [Path(part.strip("'\" ")).name for part in text.split(",")]  # several in a sweep
    if HOP in clips and not _is_file(text):
        raise ConfigError(f"There is no file {text} and no bundled clip that hops. The nearest is motion=jump.")
    if _is_file(text) or not set(clips) <= set(CLIPS):
        return [f"motion.file={text}"]
    ours = ",".join(CLIPS[clip] for clip in clips)
    if "motion" in given:
        return [f"motion.file={ours}"]
    _say("There is no file %s: using the bundled motion=%s.", text, ours)
    return [f"motion={ours}"]


def _number(argument: str, text: str, given: Dict[str, str]) -> List[str]:
    """Read an empty value, which is their default, as null."""
    return [argument] if text.strip("'\" ") else [argument.partition("=")[0] + "=null"]


def _is_file(text: str) -> bool:
    try:
        return Path(text.strip("'\"")).is_file()
    except (OSError, ValueError):  # an impossible file name; reported where it is read
        return False


def _capture_video(argument: str, text: str, given: Dict[str, str]) -> List[str]:
    """Read True and False as `video`; a number is our key, iterations between videos during training."""
    return [f"video={text}"] if isinstance(_value(text), bool) else [argument]


_SPECIAL: Dict[str, Callable[[str, str, Dict[str, str]], List[str]]] = {
    **dict.fromkeys(RATES, _rate),
    **dict.fromkeys(MOTION_KEYS, _motion_file),
    "capture_video": _capture_video,
    "task": _task,
    "seed": _seed,
    **dict.fromkeys(("num_envs", "max_iterations", "sigma"), _number),
}
