"""Reading a command line: what is wrong with it is one line on stderr and exit code 2."""

import contextlib
import errno
import os
import sys
from typing import Iterator, List, Optional, Sequence

from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from amp_train.cli.slurm_launcher import check_launcher
from amp_train.config import check_sweep, compose
from amp_train.config.overrides import parse_overrides
from amp_train.errors import TrainingError, UserError
from amp_train.runner.stopping import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USER_ERROR

# What a disk says that cannot be written, at a moment when nothing can go on without it.
STORAGE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line for what the user can put right, a training that broke down, or Ctrl-C."""
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


def check_hydra_arguments(argv: Sequence[str]) -> None:
    """Compose once before Hydra does, whose own messages take several lines.

    Raises:
        UserError: an unknown key or option, a value of the wrong type, or a launcher that is not to be had.
    """
    args = get_args_parser().parse_args(list(argv))
    if args.help or args.hydra_help or args.info or args.shell_completion or args.config_name or args.config_path:
        return
    is_batch = check_launcher(parse_overrides(args.overrides), args.multirun)
    check = check_sweep if args.multirun else compose
    check(args.overrides, args.config_dir)
    if is_batch:
        os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # leave it to us to say what went wrong
        print(
            "The sweep goes to SLURM, and this command waits for it. Ctrl-C ends the waiting, not the jobs.", flush=True
        )


def sweep_job_number() -> Optional[int]:
    """Return the number of this job in a sweep, None outside one."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return int(HydraConfig.get().job.num)


def task_overrides() -> List[str]:
    """Return the overrides of this job as they were given."""
    return list(HydraConfig.get().overrides.task)
