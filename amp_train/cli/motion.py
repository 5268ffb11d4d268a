"""`amp-motion COMMAND FILE... [key=value ...]`: retarget, check, view and edit clips."""

import sys

from amp_train.cli.arguments import one_line_errors
from amp_train.streams import lasting_streams

USAGE = """usage: amp-motion COMMAND FILE... [key=value ...]

  import FILE...    retarget a clip of any format to a character: BVH, AMASS and SMPL .npz, GLB, GMR .pkl, robot CSV,
                    DeepMimic, poselib, MimicKit; several files or a folder become a data set
                      out=clip.npz  units=m|cm|mm|inch|cmu  up=y|z  fps=  map=joints.yaml  max_fps=60
                      ik=True  smooth=0.0
  check FILE        is it fit to train on?  out=report.json; exit code 1 if something is bad
  info FILE         what it contains, and the settings that a training derives from it
  view FILE         a strip of pictures (.png), a video (.mp4, .gif, .webp) or a page (.html), next to the source
                    skeleton                                out=
  mirror FILE       swap left and right                     out=
  crop FILE         begin=0.0 end=                          out=
  resample FILE     fps=60                                  out=
  loop FILE         the best cycle of a take, closed        shortest=0.4 longest=6.0  out=
  concat FILE...    join clips                              blend=0.25  out=
  export FILE       out=clip.bvh, .csv, .txt (DeepMimic), .npy (poselib), .pkl (MimicKit); or format=

FILE is a path or the name of a bundled clip. character=humanoid names the character."""


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
