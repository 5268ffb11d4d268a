"""`amp-train [group=option ...] [key=value ...]`: train a character to move like a clip; -m sweeps, --help lists."""

import os
import sys

import hydra
from omegaconf import DictConfig

from amp_train.cli.arguments import check_hydra_arguments, one_line_errors
from amp_train.cli.slurm_launcher import saved_before_requeue, sweep_errors
from amp_train.config.schema import register_schema
from amp_train.isaacgym_first import import_isaacgym_first
from amp_train.paths import CONF_DIR


def run_job(cfg: DictConfig) -> None:
    """Train with a composed configuration, or play it with test=True."""
    with saved_before_requeue(), one_line_errors():
        from amp_train.cli.train_job import train_or_play

        train_or_play(cfg)


def main() -> None:
    """Run the command."""
    # Read when torch loads: its idle threads spin for a moment, as long as an update may need them again, then sleep.
    # By default they spin for milliseconds, on cores that physics or another program needs (docs/performance.md).
    os.environ.setdefault("GOMP_SPINCOUNT", "50000")
    # Where several processes train together, one that is lost is a line of ours, not pages of stack frames.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    import_isaacgym_first(sys.argv[1:])
    register_schema()
    with one_line_errors():
        check_hydra_arguments(sys.argv[1:])
        with sweep_errors():
            hydra.main(config_path=str(CONF_DIR), config_name="config", version_base="1.3")(run_job)()


if __name__ == "__main__":
    main()
