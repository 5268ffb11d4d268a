"""scripts/slurm/requeue.sh on a make-believe SLURM: which exit code sends a job back into the queue, and how often."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import List

import pytest

from amp_train.checkpoint.store import CheckpointStore, save_file

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts" / "slurm"
STOPPED = 75


class Queue:
    """A folder with programs that stand in for `scontrol`, `squeue` and `amp-train`."""

    def __init__(self, folder: Path):
        self.folder, self.state, self.environ = folder, "RUNNING None", {}
        self.run_dir = folder / "runs" / "walk"
        self._program("scontrol", 'echo "$@" >>requeued')
        self._program("squeue", 'cat state; echo "$@" >asked')

    def _program(self, name: str, body: str) -> None:
        path = self.folder / ".venv" / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/usr/bin/env bash\n" + body + "\n")
        path.chmod(0o755)

    def start(self, training: str, *argv: str) -> "subprocess.Popen[str]":
        """Start a batch script whose `amp-train` is these lines of bash."""
        script = ["bash", "-c", 'source "$0"; run_until_done amp-train "$@"', str(SCRIPTS / "requeue.sh")]
        return self._start(training, [*script, *argv])

    def run_array(self, task: int, count: int, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run a task of array.sbatch that shows what `amp-train` is given."""
        (self.folder / "scripts").symlink_to(SCRIPTS.parent)
        numbers = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": str(count)}
        self.environ = dict(numbers, SLURM_JOB_NAME="job", **environ)
        job = self._start('echo "$@"', ["bash", str(SCRIPTS / "array.sbatch"), "num_envs=8"])
        out, _ = job.communicate(timeout=30)
        return subprocess.CompletedProcess("array.sbatch", job.returncode, out)

    def _start(self, training: str, command: List[str]) -> "subprocess.Popen[str]":
        self._program("amp-train", training)
        (self.folder / "state").write_text(self.state)
        return subprocess.Popen(
            command,
            cwd=str(self.folder),
            env=dict(
                {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "MAX_STARTS", "AMP_TRAIN"))},
                SLURM_JOB_ID="7",
                SLURM_SUBMIT_DIR=str(self.folder),
                **self.environ,
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
        )

    def run(self, training: str, *argv: str) -> "subprocess.CompletedProcess[str]":
        job = self.start(training, *(argv or ("experiment=walk",)))
        out, _ = job.communicate(timeout=30)
        return subprocess.CompletedProcess(training, job.returncode, out)

    def requeued(self) -> List[str]:
        path = self.folder / "requeued"
        return path.read_text().splitlines() if path.exists() else []

    def save(self, iteration: int, keep: bool = True) -> str:
        """Bash that writes a checkpoint, or just its files without the manifest, as a kill may leave them."""
        store = CheckpointStore(self.folder / "written", 9)
        (self.folder / "written").mkdir(exist_ok=True)
        name = f"last_ep_{iteration}"
        files = {
            name + suffix: save_file(self.folder / "written" / (name + suffix), {}) for suffix in (".state", ".pth")
        }
        store.complete(name, iteration, files)
        what = f"{self.folder}/written/{name}.*" if keep else f"{self.folder}/written/{name}.[ps]*"
        return f"mkdir -p {self.run_dir}/nn; cp {what} {self.run_dir}/nn\n"


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path)


@pytest.mark.parametrize("code, back", [(0, False), (2, False), (3, False), (STOPPED, True), (1, True), (137, True)])
def test_the_exit_code_decides_whether_a_job_goes_back_into_the_queue(queue, code, back):
    result = queue.run(f"exit {code}")
    assert result.returncode == code
    assert queue.requeued() == (["requeue 7"] if back else [])


@pytest.mark.parametrize(
    "state, back",
    [("COMPLETING None", False), ("COMPLETING TimeLimit", True), ("RUNNING None", True)],
)
def test_what_slurm_itself_ends_is_left_to_slurm_unless_its_time_was_up(queue, state, back):
    queue.state = state
    result = queue.run("exit 75")
    assert bool(queue.requeued()) is back
    assert ("experiment=walk" in result.stdout) is not back


def test_a_training_that_only_crashes_is_started_three_times(queue):
    texts = [queue.run("exit 1").stdout for _ in range(3)]
    assert len(queue.requeued()) == 2
    assert "3 starts in a row wrote no later checkpoint in runs/walk" in texts[2]
    assert queue.run("echo again >started; exit 1").returncode == 1
    assert not (queue.folder / "started").exists()


def test_a_later_checkpoint_starts_the_count_again(queue):
    for number in range(1, 6):
        queue.run(queue.save(2 * number) + "exit 1")
    assert len(queue.requeued()) == 5
    for _ in range(3):
        queue.run("exit 1")
    assert len(queue.requeued()) == 7


@pytest.mark.parametrize("what", ["the same again", "an earlier one", "no manifest", "the best policy", "a leftover"])
def test_what_is_no_later_checkpoint_is_no_progress(queue, what):
    queue.run(queue.save(10) + "exit 75")
    left = {
        "the same again": queue.save(10),
        "an earlier one": f"rm {queue.run_dir}/nn/*; {queue.save(9)}",
        "no manifest": queue.save(12, keep=False),
        "the best policy": f"cd {queue.run_dir}/nn; date +%N >w.pth; echo '{{\"format\": 1}}' >w.json; cd - >w.log\n",
        "a leftover": f"mktemp {queue.run_dir}/nn/XXX.json.partial\n",
    }
    for _ in range(3):
        queue.run(left[what] + "exit 75")
    assert len(queue.requeued()) == 3  # the first, and two of the three that came to nothing


def test_the_count_is_not_written_through_a_link(queue):
    queue.run_dir.mkdir(parents=True)
    (queue.folder / "precious").write_text("1 5")
    (queue.run_dir / "slurm_starts").symlink_to(queue.folder / "precious")
    queue.run("exit 75")
    assert (queue.folder / "precious").read_text() == "1 5"
    assert (queue.run_dir / "slurm_starts").read_text() == "1 0\n"
    (queue.run_dir / "slurm_starts").write_text("a[$(touch ran)] 08")
    queue.run("exit 75")
    assert not (queue.folder / "ran").exists() and len(queue.requeued()) == 2


def test_the_number_of_starts_can_be_set(queue):
    queue.environ["MAX_STARTS"] = "1"
    queue.run("exit 1")
    assert queue.requeued() == []


def test_one_task_of_an_array_goes_back_alone(queue):
    queue.environ = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}
    queue.run("exit 75")
    assert queue.requeued() == ["requeue 7_3"]
    assert "--jobs=7_3" in (queue.folder / "asked").read_text()


def test_the_last_experiment_and_train_dir_of_the_command_line_count(queue):
    queue.run('echo "$@" >given; exit 1', "experiment=job-7", "train_dir=out", "experiment=a", "note=experiment=b")
    assert (queue.folder / "out" / "a" / "slurm_starts").read_text().startswith("1 ")
    assert (queue.folder / "given").read_text().split()[-2:] == ["note=experiment=b", "resume=auto"]


@pytest.mark.parametrize("name", ["USR1", "TERM"])
def test_a_signal_reaches_the_training_which_saves_before_the_job_ends(queue, name):
    training = "trap 'sleep 0.3; echo saved >saved; exit 75' {}; echo ready >ready; while :; do sleep 0.02; done"
    job = queue.start(training.format(name), "experiment=walk")
    deadline = time.monotonic() + 20
    while not (queue.folder / "ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    job.send_signal(getattr(signal, "SIG" + name))
    out, _ = job.communicate(timeout=20)
    assert job.returncode == STOPPED, out
    assert (queue.folder / "saved").exists()
    assert queue.requeued() == ["requeue 7"]


@pytest.mark.parametrize("task, given", list(enumerate(["walk 1", "walk 2", "walk 3", "run 1", "run 2", "run 3"])))
def test_an_array_has_a_task_for_every_motion_and_seed(queue, task, given):
    result = queue.run_array(task, 6, MOTIONS="walk run", SEEDS="1 2 3")
    motion, seed = given.split()
    wanted = "motion={0} seed={1} experiment=job-7_{0}_seed{1} num_envs=8 resume=auto"
    assert result.stdout.strip() == wanted.format(motion, seed)


@pytest.mark.parametrize("count", [5, 7])
def test_an_array_of_another_size_names_the_right_one(queue, count):
    result = queue.run_array(0, count, MOTIONS="walk run", SEEDS="1 2 3")
    assert (result.returncode, "--array=0-5" in result.stdout) == (2, True)


SCRIPT_FILES = sorted(path for path in SCRIPTS.iterdir() if path.suffix in (".sh", ".sbatch"))


@pytest.mark.parametrize("script", SCRIPT_FILES, ids=[path.name for path in SCRIPT_FILES])
def test_a_script_is_readable_by_bash(script):
    assert subprocess.run(["bash", "-n", str(script)], stderr=subprocess.PIPE).stderr == b""


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.sbatch")), ids=lambda path: path.name)
def test_every_batch_script_asks_for_a_signal_in_time_and_appends_to_its_output(script):
    options = [line.split(None, 1)[1] for line in script.read_text().splitlines() if line.startswith("#SBATCH")]
    for option in ("--signal=B:USR1@120", "--requeue", "--open-mode=append", "--time=08:00:00"):
        assert option in options
