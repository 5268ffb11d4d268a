"""Ship a trained policy with the program: `python scripts/ship_policy.py runs/NAME/nn/FILE.pth [key=value ...]`.

Writes amp_train/pretrained/NAME.pth, NAME being the clip or, with a goal, the task: networks and statistics, no
optimizer, counting from 0 because a new training begins with it. Evaluates it with amp-eval and pushes of 300 N
(further arguments go there: seeds=11,12 episodes=32) and stores the figures, and how it was trained, in
amp_train/pretrained/results.json. A policy that is there already (amp_train/pretrained/NAME.pth) is only evaluated
again. `python scripts/generate_docs.py` then writes the tables.
"""

import csv
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Tuple

from omegaconf import OmegaConf

from amp_train.checkpoint.load import safe_load
from amp_train.checkpoint.store import save_file
from amp_train.cli.eval import evaluate_checkpoint
from amp_train.config import compose, with_overrides
from amp_train.env.amp_env import fitted_to_clips
from amp_train.paths import PRETRAINED_DIR

RESULTS = PRETRAINED_DIR / "results.json"
IMITATION = "HumanoidAMP"
PUSH_N = 300


def ship(checkpoint: Path) -> Tuple[str, Dict[str, Any]]:
    """Write the policy to be shipped; return its name and how it was trained."""
    content = safe_load(checkpoint)
    content.pop("optimizer", None)
    described = content["amp_train"]
    described.pop("input_files", None)
    cfg = described["config"]
    name = policy_name(cfg)
    as_a_new_training(cfg)
    keep_facts(cfg)
    frames = int(content["frame"])
    PRETRAINED_DIR.mkdir(exist_ok=True)
    save_file(PRETRAINED_DIR / f"{name}.pth", {**content, "epoch": 0, "frame": 0, "last_mean_rewards": 0.0})
    minutes = training_minutes(checkpoint.parent.parent / "metrics.csv", frames)
    trained = {"samples": frames, "minutes": minutes, "seed": cfg["seed"], "threads": cfg["num_threads"]}
    return name, {**trained, "versions": described["versions"]}


def policy_name(cfg: Dict[str, Any]) -> str:
    """Return the clip's name, or the task's where there is a goal: heading for HumanoidAMPHeading."""
    task = cfg["task"]["name"]
    return str(cfg["motion"]["name"] if task == IMITATION else task[len(IMITATION) :].lower())


def as_a_new_training(cfg: Dict[str, Any]) -> None:
    """Let a training that begins with the policy end where the recipe says, with the task's own goals."""
    agent, preset = cfg["train"]["params"]["config"], compose([f"task={cfg['task']['name']}"])
    recipe = preset.train.params.config
    cfg["max_iterations"], cfg["max_time_s"] = None, None
    agent["max_epochs"], agent["max_frames"] = recipe.max_epochs, recipe.max_frames
    cfg["task"]["goal"] = OmegaConf.to_container(preset.task.goal)


def keep_facts(cfg: Dict[str, Any]) -> None:
    """Store what was derived from the clips, so that the policy is played with it whatever is derived later."""
    fitted = fitted_to_clips(with_overrides(cfg, []))[0]
    for key in ("contact_bodies", "rise_height", "max_low_s"):
        value = fitted.motion[key]
        cfg["motion"][key] = list(value) if key == "contact_bodies" and value is not None else value
    cfg["motion"]["derive"] = []
    cfg["character"]["torque_limits"] = dict(fitted.character.torque_limits)


def training_minutes(metrics: Path, frames: int) -> float:
    """Return how long the training had run by then, pauses between resumed parts left out."""
    with metrics.open() as file:
        times = [float(row["time_s"]) for row in csv.DictReader(file) if float(row["frames"]) <= frames]
    return round(times[-1] / 60.0, 1)


def evaluated(name: str, arguments: List[str]) -> Dict[str, Any]:
    """Run amp-eval; return its figures."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "eval.json"
        evaluate_checkpoint([f"checkpoint=pretrained/{name}", f"out={out}", *arguments])
        figures: Dict[str, Any] = json.loads(out.read_text())
    return figures


def main() -> None:
    """Ship the given policy."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    policy, arguments = Path(sys.argv[1]).resolve(), [f"push={PUSH_N}", *sys.argv[2:]]
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if policy.parent == PRETRAINED_DIR.resolve():
        name, trained = policy.stem, results[policy.stem]["trained"]
    else:
        name, trained = ship(policy)
    results[name] = {"trained": trained, "evaluation": evaluated(name, arguments)}
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
