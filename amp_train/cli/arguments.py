"""Reading a command line: a mistake gives one line on stderr and exit code 2."""

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import Iterator, List, Optional, Sequence

from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.types import RunMode

from amp_train.cli.slurm_launcher import check_launcher
from amp_train.config import check_sweep, compose
from amp_train.config.isaacgymenvs import translated
from amp_train.config.overrides import parse_overrides
from amp_train.config.validate import check_path
from amp_train.errors import ConfigError, TrainingError, UserError
from amp_train.resume.run_dir import check_writable
from amp_train.runner.stopping import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USER_ERROR
from amp_train.streams import lasting_streams

# Errors of a disk that cannot be written, where the program cannot continue without it, or of a file where a folder is
# needed and the reverse.
STORAGE_ERRORS = (
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ELOOP,
)  # fmt: skip


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line for a user's mistake, a failed training or Ctrl-C."""
    try:
        yield
    except (UserError, TrainingError) as error:
        print("Error: " + " ".join(str(error).split()), file=sys.stderr)
        sys.exit(EXIT_USER_ERROR if isinstance(error, UserError) else EXIT_FAILED)
    except OSError as error:
        if error.errno not in STORAGE_ERRORS:
            raise
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


@contextlib.contextmanager
def command() -> Iterator[None]:
    """Run a command: with streams that survive, errors in one line, and IsaacGymEnvs' keys replaced in `sys.argv`."""
    with lasting_streams(), one_line_errors():
        sys.argv[1:] = translated(sys.argv[1:])
        yield


def check_hydra_arguments(argv: Sequence[str]) -> None:
    """Compose once before Hydra does, whose own messages take several lines.

    Raises:
        UserError: an unknown key or option, a value of the wrong type, or a launcher that is not available.
    """
    args = get_args_parser().parse_args(list(argv))
    if args.help or args.hydra_help or args.shell_completion or args.config_name or args.config_path:
        return
    if args.config_dir and not Path(args.config_dir).is_dir():
        raise ConfigError(f"--config-dir {args.config_dir} is not a folder.")
    overrides = parse_overrides(args.overrides)
    is_batch = check_launcher(overrides, args.multirun)
    check = check_sweep if args.multirun else compose
    check(args.overrides, args.config_dir)
    if args.multirun:  # Hydra makes a folder there before any job begins
        for train_dir in _train_dirs(overrides):
            check_path("train_dir", train_dir)
            check_writable(Path(train_dir))
    if is_batch:
        os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # its own messages take several lines
        print("The sweep runs on SLURM; this command waits for it. Ctrl-C stops the waiting, not the jobs.", flush=True)


def _train_dirs(overrides: Sequence[Override]) -> List[str]:
    given = [o for o in overrides if o.key_or_group == "train_dir"]
    return [text for o in given for text in (o.sweep_string_iterator() if o.is_sweep_override() else [str(o.value())])]


def sweep_job_number() -> Optional[int]:
    """Return the number of this job in a sweep, None outside one."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return int(HydraConfig.get().job.num)


def task_overrides() -> List[str]:
    """Return the overrides of this job as they were given."""
    return list(HydraConfig.get().overrides.task)
