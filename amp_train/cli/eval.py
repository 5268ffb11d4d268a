"""`amp-eval checkpoint=PATH [key=value ...]`: measure how well a policy moves like its clip."""

import os
import sys

from amp_train.cli.arguments import one_line_errors
from amp_train.isaacgym_first import import_isaacgym_first

USAGE = """usage: amp-eval checkpoint=PATH [key=value ...]

  checkpoint=PATH       a checkpoint of amp-train or of IsaacGymEnvs
  episodes=32           for each seed, deterministic and with the noise of training
  seeds=0,1,2
  episode_s=20          length of an episode, s; it ends earlier with a fall
  out=FILE.json         where the numbers go
  plots=DIR             where pictures of an episode go; default: plots=False

Any other key or group goes on top of the checkpoint's configuration: motion=run, num_threads=1.
docs/evaluation.md says how each number is defined."""


def main() -> None:
    """Run the command."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(USAGE)
        return
    # Read when torch loads: its idle threads sleep instead of spinning on the cores that physics needs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import_isaacgym_first(sys.argv[1:])
    with one_line_errors():
        from amp_train.cli.eval_job import evaluate_checkpoint

        evaluate_checkpoint(sys.argv[1:])


if __name__ == "__main__":
    main()
