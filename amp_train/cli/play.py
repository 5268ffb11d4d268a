"""`amp-play checkpoint=PATH [key=value ...]`: play a checkpoint without a window, measure it and record a video."""

import sys

from amp_train.cli.arguments import one_line_errors
from amp_train.isaacgym_first import import_isaacgym_first

USAGE = """usage: amp-play checkpoint=PATH [key=value ...]

  checkpoint=PATH       a checkpoint of amp-train or of IsaacGymEnvs
  episodes=16           how many to play and measure
  num_envs=             environments side by side; default: one an episode
  deterministic=True    False: with the noise of training
  seed=                 default: the training's
  video=PATH            an .mp4 or .gif; default: beside the checkpoint; video=False: none

Any other key or group goes on top of the checkpoint's configuration: motion=run, task.env.episode_length=600."""


def main() -> None:
    """Run the command."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(USAGE)
        return
    import_isaacgym_first(sys.argv[1:])
    with one_line_errors():
        from amp_train.cli.play_job import play_checkpoint

        play_checkpoint(sys.argv[1:])


if __name__ == "__main__":
    main()
