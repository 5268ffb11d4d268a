"""`amp-eval checkpoint=PATH [key=value ...]`: measure how well a policy moves like its clip."""

import os
import sys
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Sequence, Tuple, cast

from omegaconf import OmegaConf

from amp_train.cli.arguments import command
from amp_train.cli.play import MAX_ENVS, PlayArgs, check_checkpoint_argument, playing_config
from amp_train.cli.showing import path_or_reason
from amp_train.config import Config
from amp_train.config.compose import as_config_error
from amp_train.config.overrides import parse_overrides
from amp_train.config.resolve import available_cores
from amp_train.config.schema import MAX_SEED
from amp_train.config.validate import check_path
from amp_train.errors import ConfigError
from amp_train.isaacgym_first import import_isaacgym_first
from amp_train.ranges import Range, above, between

if TYPE_CHECKING:  # it imports torch; Isaac Gym must come first, see `main`
    from amp_train.cli.reporting import EvaluatedRun
    from amp_train.runner.evaluate import Evaluation

USAGE = """usage: amp-eval checkpoint=PATH [key=value ...]

  checkpoint=PATH       a checkpoint of amp-train or of IsaacGymEnvs
  episodes=32           per seed, both deterministic and with training noise
  seeds=0,1,2
  episode_s=20          length of an episode, s; a fall ends it earlier
  push=300              also play with pushes of this force, N, for 0.2 s every 5 s; default: none
  out=FILE.json         write the numbers to this file
  report=FILE.html      write a page that opens offline; checkpoint=[a.pth,b.pth] compares runs in it
  plots=DIR             write pictures of an episode to this folder; default: plots=False

Any other key or group overrides the checkpoint's configuration: motion=run, num_threads=1.
Definitions of all numbers: docs/evaluation.md."""


@dataclass
class EvalArgs:
    """amp-eval's own arguments."""

    checkpoint: Any = ""  # a path, or several
    episodes: int = between(1, MAX_ENVS, 32)
    seeds: List[int] = field(default_factory=lambda: [0, 1, 2], metadata={"range": Range(0, MAX_SEED)})
    episode_s: float = above(0.0, 3600.0, 20.0)
    push: float = between(0.0, 1e5, 0.0)  # N
    out: Any = None  # a path, or None
    plots: Any = False  # a folder, or False
    report: Any = None  # a path, or None

    @property
    def checkpoints(self) -> List[str]:
        """The policies, one after another."""
        return [str(path) for path in (self.checkpoint if isinstance(self.checkpoint, list) else [self.checkpoint])]


EVAL_KEYS = tuple(f.name for f in fields(EvalArgs))
INSTEAD = {"seed": "seeds=", "num_envs": "episodes= (one environment each)"}


def main() -> None:
    """Run the command."""
    # Read when torch loads: its idle threads sleep instead of spinning on the cores that physics needs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with command():
        if {"-h", "--help"} & set(sys.argv[1:]):
            print(USAGE)
            return
        import_isaacgym_first(sys.argv[1:])
        evaluate_checkpoint(sys.argv[1:])


def evaluate_checkpoint(argv: Sequence[str]) -> None:
    """Evaluate one policy or several, print the tables, write the requested files."""
    from amp_train.evaluation.report import check_writable, write_json

    args, overrides = split_arguments(argv)
    check_writable(_files(args))
    reports = [_evaluate(args, checkpoint, overrides) for checkpoint in args.checkpoints]
    numbers: Any = reports[0].numbers if len(reports) == 1 else [report.numbers for report in reports]
    if args.out is not None:
        print(f"numbers        {write_json(numbers, str(args.out))}")
    if args.plots not in (False, None):
        print(f"pictures       {path_or_reason(lambda: reports[0].plot(Path(str(args.plots))))}")
    if args.report is not None:
        from amp_train.cli.reporting import write_evaluation_report

        found = [report.for_page for report in reports]
        print(f"report         {write_evaluation_report(Path(str(args.report)), found)}")


def _evaluate(args: EvalArgs, checkpoint: str, overrides: Sequence[str]) -> "_Report":
    from amp_train.evaluation.report import table
    from amp_train.runner.evaluate import evaluate

    cfg = playing_config(PlayArgs(checkpoint=checkpoint, num_envs=args.episodes), overrides)
    name = f"{checkpoint}: playing" if len(args.checkpoints) > 1 else "Playing"
    print(f"{name} {args.episodes} episodes of {args.episode_s:g} s, seeds {args.seeds} ...", flush=True)
    found = evaluate(cfg, str(cfg.checkpoint), args.episodes, args.episode_s, args.seeds, args.push)
    report = _Report(cfg, args, checkpoint, found)
    print(table(report.numbers))
    return report


def split_arguments(argv: Sequence[str]) -> Tuple[EvalArgs, List[str]]:
    """Split `key=value` arguments into amp-eval's own and those for the configuration.

    Raises:
        ConfigError: a value of the wrong type or out of range, or no checkpoint.
    """
    parsed = parse_overrides(argv)
    own: Dict[str, Any] = {}
    for o in parsed:
        if o.key_or_group in INSTEAD:
            raise ConfigError(f"amp-eval takes {INSTEAD[o.key_or_group]}, not {o.key_or_group}=.")
        if o.key_or_group in EVAL_KEYS:
            own[o.key_or_group] = list(o.sweep_iterator()) if o.is_sweep_override() else o.value()
    if "seeds" in own and not isinstance(own["seeds"], list):
        own["seeds"] = [own["seeds"]]
    rest = [text for text, o in zip(argv, parsed) if o.key_or_group not in EVAL_KEYS]
    with as_config_error():
        args = cast(EvalArgs, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(EvalArgs), own)))
    _check(args)
    return args, rest


def _files(args: EvalArgs) -> List[Path]:
    """Return the files that will be written; one picture represents all."""
    out = [Path(str(given)) for given in (args.out, args.report) if given is not None]
    return out if args.plots in (False, None) else out + [Path(str(args.plots)) / "alignment.png"]


def _check(args: EvalArgs) -> None:
    for checkpoint in args.checkpoints:
        check_checkpoint_argument(replace(args, checkpoint=checkpoint))
    if not args.seeds or len(set(args.seeds)) < len(args.seeds):
        raise ConfigError(f"seeds must be distinct numbers, not {args.seeds}.")
    for name, given in (("out", args.out), ("plots", args.plots), ("report", args.report)):
        if given in (True, "") or (name != "plots" and given is False):
            raise ConfigError(f"{name}= needs a path.")
        if isinstance(given, str):
            check_path(name, given)


class _Report:
    """The numbers of an evaluation, and the data of its pictures."""

    def __init__(self, cfg: Config, args: EvalArgs, checkpoint: str, found: "Evaluation") -> None:
        from amp_train.evaluation.score import falls, score_episodes, summarize

        half = len(found.deterministic)
        scores = score_episodes(found.deterministic + found.noisy, found.clips, available_cores(), world_runs=half)
        mass_kg = float(found.spec.body_mass.sum())
        self._cfg, self._found, self._scores = cfg, found, scores
        self.numbers: Dict[str, Any] = {
            "checkpoint": checkpoint,
            "motion": cfg.motion.name,
            "episodes": args.episodes,
            "seeds": args.seeds,
            "episode_s": args.episode_s,
            **summarize(found.deterministic, scores[:half], found.clips, mass_kg),
            **found.disc,
            "noisy": summarize(found.noisy, scores[half:], found.clips, mass_kg),
        }
        if found.pushed:
            self.numbers["pushed"] = {"push_n": args.push, **falls(found.pushed)}

    @property
    def for_page(self) -> "EvaluatedRun":
        """The data of a page about it."""
        from amp_train.cli.reporting import EvaluatedRun

        return EvaluatedRun(self._cfg, str(self._cfg.checkpoint), self.numbers, self.plot)

    def plot(self, folder: Path) -> Path:
        """Draw the first episode of the first seed, without noise."""
        from amp_train.evaluation.plots import plot_episode

        spec = self._found.spec
        axes = {1: ("",), 3: (" x", " y", " z")}
        names = [n + axis for n, size in zip(spec.joint_names, spec.joint_sizes) for axis in axes[size]]
        plot_episode(folder, self._found.deterministic[0], 0, self._scores[0][0], self._found.clips, names)
        return folder


if __name__ == "__main__":
    main()
