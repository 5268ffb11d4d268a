"""Add a trained policy to the bundled ones: `python scripts/ship_policy.py runs/NAME/nn/FILE.pth [key=value ...]`.

Writes amp_train/pretrained/CLIP.pth (networks and statistics; no optimizer, and counting from 0, as a new training
begins with it), evaluates it with amp-eval (further arguments go there: seeds=11,12 episodes=32) and notes the figures,
and how it was trained, in amp_train/pretrained/results.json. Without a checkpoint: prints that file as the table of
docs/results.md.
"""

import csv
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Sequence

from amp_train.checkpoint.load import safe_load
from amp_train.checkpoint.store import save_file
from amp_train.cli.eval import evaluate_checkpoint
from amp_train.config import compose
from amp_train.paths import PRETRAINED_DIR

RESULTS = PRETRAINED_DIR / "results.json"
# The AMP paper's own pose errors, m (Peng et al. 2021).
PAPER_ERROR_M = {
    "walk": "0.030", "run": "0.075", "jump": "0.083", "spinkick": "0.058", "spin": "0.047", "cartwheel": "0.067",
    "backflip": "0.150", "dance": "0.055", "crawl": "0.049", "roll": "0.088",
}  # fmt: skip


def ship(checkpoint: Path) -> Dict[str, Any]:
    """Write the policy to be shipped; return its name and how it was trained."""
    content = safe_load(checkpoint)
    content.pop("optimizer", None)
    described = content["amp_train"]
    described.pop("input_files", None)
    cfg = described["config"]
    name = cfg["motion"]["name"]
    forget_limits(cfg)
    frames = int(content["frame"])
    PRETRAINED_DIR.mkdir(exist_ok=True)
    save_file(PRETRAINED_DIR / (name + ".pth"), {**content, "epoch": 0, "frame": 0, "last_mean_rewards": 0.0})
    minutes = training_minutes(checkpoint.parent.parent / "metrics.csv", frames)
    trained = {"samples": frames, "minutes": minutes, "seed": cfg["seed"], "threads": cfg["num_threads"]}
    return {"name": name, "trained": {**trained, "versions": described["versions"]}}


def forget_limits(cfg: Dict[str, Any]) -> None:
    """Reset the limits, so that a training that starts from the policy ends where the recipe says."""
    agent, recipe = cfg["train"]["params"]["config"], compose().train.params.config
    cfg["max_iterations"], agent["max_epochs"], agent["max_frames"] = None, recipe.max_epochs, recipe.max_frames


def training_minutes(metrics: Path, frames: int) -> float:
    """Return how long the training had run, without pauses between resumed parts."""
    with metrics.open() as file:
        times = [float(row["time_s"]) for row in csv.DictReader(file) if float(row["frames"]) <= frames]
    return round(times[-1] / 60.0, 1)


def evaluated(name: str, arguments: List[str]) -> Dict[str, Any]:
    """Run amp-eval; return its figures."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "eval.json"
        evaluate_checkpoint(["checkpoint=pretrained/" + name, "out={}".format(out), *arguments])
        figures: Dict[str, Any] = json.loads(out.read_text())
    return figures


def table(results: Dict[str, Any]) -> str:
    """Return the results as a table in Markdown."""
    columns = (
        "clip", "samples (M)", "minutes", "error, heading frame (m)", "world frame (m)", "paper (m)",
        "falls in 20 s, noise-free / noisy", "speed / clip (m/s)", "tempo", "frames covered",
    )  # fmt: skip
    lines = [_row(columns), "|" + "---|" * len(columns)]
    for name, result in results.items():
        trained, found, noisy = result["trained"], result["evaluation"], result["evaluation"]["noisy"]
        cells = (
            name,
            "{:.1f}".format(trained["samples"] / 1e6),
            "{:.0f}".format(trained["minutes"]),
            "{:.3f} +- {:.3f}".format(found["dtw_pose_error_m"], found["dtw_pose_error_std_m"]),
            "{:.3f}".format(found["dtw_pose_error_world_m"]),
            PAPER_ERROR_M.get(name, "-"),
            "{:.0%} / {:.0%}".format(found["fall_rate"], noisy["fall_rate"]),
            "{:.2f} / {:.2f}".format(found["root_speed_m_s"], found["clip_speed_m_s"]),
            "-" if found["tempo"] is None else "{:.2f}".format(found["tempo"]),
            "{:.0%}".format(min(found["clip_frames_covered"].values())),
        )
        lines.append(_row(cells))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| {} |".format(" | ".join(cells))


def main() -> None:
    """Ship, or print the table."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if len(sys.argv) > 1:
        shipped = ship(Path(sys.argv[1]))
        name = shipped.pop("name")
        results[name] = {**shipped, "evaluation": evaluated(name, sys.argv[2:])}
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
