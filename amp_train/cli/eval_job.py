"""Evaluating a checkpoint: its own configuration with the command line's on top, episodes, report, pictures."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple, cast

from omegaconf import OmegaConf

from amp_train.cli.play_job import PlayArgs, drawn, playing_config
from amp_train.config import Config
from amp_train.config.compose import as_config_error
from amp_train.config.overrides import parse_overrides
from amp_train.config.resolve import available_cores
from amp_train.errors import ConfigError
from amp_train.evaluation.plots import plot_episode
from amp_train.evaluation.report import check_writable, table, write_json
from amp_train.evaluation.score import score_episodes, summarize
from amp_train.runner.evaluate import Evaluation, evaluate


@dataclass
class EvalArgs:
    """What amp-eval itself takes."""

    checkpoint: str = ""
    episodes: int = 32
    seeds: List[int] = field(default_factory=lambda: [0, 1, 2])
    episode_s: float = 20.0
    out: Any = None  # a path, or None
    plots: Any = False  # a folder, or False


EVAL_KEYS = tuple(f.name for f in fields(EvalArgs))
INSTEAD = {"seed": "seeds=", "num_envs": "episodes=, each in an environment of its own"}


def evaluate_checkpoint(argv: Sequence[str]) -> None:
    """Evaluate, print the table, write what was asked for."""
    args, overrides = split_arguments(argv)
    check_writable(_files(args))
    cfg = playing_config(PlayArgs(checkpoint=args.checkpoint, num_envs=args.episodes), overrides)
    print("Playing {} episodes of {:g} s, seeds {} ...".format(args.episodes, args.episode_s, args.seeds), flush=True)
    found = evaluate(cfg, str(cfg.checkpoint), args.episodes, args.episode_s, args.seeds)
    report = _Report(cfg, args, found)
    print(table(report.numbers))
    if args.out is not None:
        print("numbers        {}".format(write_json(report.numbers, str(args.out))))
    if args.plots not in (False, None):
        print("pictures       {}".format(drawn(lambda: report.plot(Path(str(args.plots))))))


def split_arguments(argv: Sequence[str]) -> Tuple[EvalArgs, List[str]]:
    """Split `key=value` arguments into amp-eval's own and those for the configuration.

    Raises:
        ConfigError: a value of the wrong type or out of range, or no checkpoint.
    """
    parsed = parse_overrides(argv)
    own: Dict[str, Any] = {}
    for o in parsed:
        if o.key_or_group in EVAL_KEYS:
            own[o.key_or_group] = list(o.sweep_iterator()) if o.is_sweep_override() else o.value()
    if "seeds" in own and not isinstance(own["seeds"], list):
        own["seeds"] = [own["seeds"]]
    for o in parsed:
        if o.key_or_group in INSTEAD:
            raise ConfigError("amp-eval takes {}, not {}=.".format(INSTEAD[o.key_or_group], o.key_or_group))
    rest = [text for text, o in zip(argv, parsed) if o.key_or_group not in EVAL_KEYS]
    with as_config_error():
        args = cast(EvalArgs, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(EvalArgs), own)))
    _check(args)
    return args, rest


def _files(args: EvalArgs) -> List[Path]:
    """Return what will be written, one of the pictures for all."""
    out = [] if args.out is None else [Path(str(args.out))]
    return out if args.plots in (False, None) else out + [Path(str(args.plots)) / "alignment.png"]


def _check(args: EvalArgs) -> None:
    if not args.checkpoint:
        raise ConfigError("Which policy? Give checkpoint=runs/NAME/nn/NAME.pth.")
    if args.episodes < 1:
        raise ConfigError("episodes must be at least 1, not {}.".format(args.episodes))
    if not 0.0 < args.episode_s <= 3600.0:
        raise ConfigError("episode_s must be above 0 and at most 3600, not {}.".format(args.episode_s))
    if not args.seeds or len(set(args.seeds)) < len(args.seeds) or not all(0 <= s < 2**32 for s in args.seeds):
        raise ConfigError("seeds must be different numbers from 0 to 4294967295, not {}.".format(args.seeds))
    for name, given in (("out", args.out), ("plots", args.plots)):
        if given is True or (name == "out" and given is False):
            raise ConfigError("{}= needs a path.".format(name))


class _Report:
    """The numbers, and what the pictures are drawn from."""

    def __init__(self, cfg: Config, args: EvalArgs, found: Evaluation) -> None:
        half = len(found.deterministic)
        scores = score_episodes(found.deterministic + found.noisy, found.clips, available_cores(), world_runs=half)
        mass_kg = float(found.spec.body_mass.sum())
        self._found, self._scores = found, scores
        self.numbers: Dict[str, Any] = {
            "checkpoint": args.checkpoint,
            "motion": cfg.motion.name,
            "episodes": args.episodes,
            "seeds": args.seeds,
            "episode_s": args.episode_s,
            **summarize(found.deterministic, scores[:half], found.clips, mass_kg),
            **found.disc,
            "noisy": summarize(found.noisy, scores[half:], found.clips, mass_kg),
        }

    def plot(self, folder: Path) -> Path:
        """Draw the first episode of the first seed, without noise."""
        spec = self._found.spec
        axes = {1: ("",), 3: (" x", " y", " z")}
        names = [n + axis for n, size in zip(spec.joint_names, spec.joint_sizes) for axis in axes[size]]
        plot_episode(folder, self._found.deterministic[0], 0, self._scores[0][0], self._found.clips, names)
        return folder
