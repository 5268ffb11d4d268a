"""`amp-motion COMMAND FILE... [key=value ...]`: get a clip onto a character, check it, look at it, change it."""

import sys

from amp_train.cli.arguments import one_line_errors
from amp_train.cli.streams import lasting_streams

USAGE = """usage: amp-motion COMMAND FILE... [key=value ...]

  import FILE...    put a clip of any format on a character: BVH, AMASS and SMPL .npz, GLB, GMR .pkl, robot CSV,
                    DeepMimic, poselib, MimicKit; several files or a folder become a data set
                      out=clip.npz  units=m|cm|mm|inch|cmu  up=y|z  fps=  map=joints.yaml  max_fps=60
                      ik=True  smooth=0.0
  check FILE        is it fit to train on?  out=report.json; exit code 1 when something is bad
  info FILE         what it is, and what a training takes from it
  view FILE         a video, or a strip of pictures as .png; a file of another skeleton is shown beside: out=clip.mp4
  mirror FILE       left and right exchanged                out=
  crop FILE         begin=0.0 end=                          out=
  resample FILE     fps=60                                  out=
  loop FILE         the best cycle of a take, closed        shortest=0.4 longest=6.0  out=
  concat FILE...    one after another                       blend=0.25  out=
  export FILE       out=clip.bvh, .csv, .txt (DeepMimic), .npy (poselib), .pkl (MimicKit); or format=

FILE is a path or the name of a bundled clip. character=humanoid says whose clip it is."""


def main() -> None:
    """Run the command."""
    with lasting_streams(), one_line_errors():
        if len(sys.argv) < 2 or {"-h", "--help"} & set(sys.argv[1:]):
            print(USAGE)
            return
        from amp_train.cli.motion_jobs import run

        sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
