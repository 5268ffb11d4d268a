"""The real command in two processes: what they leave, a death in the middle, and going on from the checkpoint."""

import csv
import sys
import time

import pytest
from launch_ranks import start_ranks, wait_for
from test_commands import SMALL

from amp_train.checkpoint.load import safe_load
from amp_train.cli import train

ITERATIONS = 16
TRAIN = ["-m", "amp_train.cli.train", "multi_gpu=True", "video=False", "eval_interval=0"]
SAVES = ["train.params.config.save_frequency=3", "train.params.config.save_max_share=1"]
NEW = [*SMALL, *SAVES, "seed=3", f"max_iterations={ITERATIONS}"]
TIMES = ("time_s", "samples_per_s")


def rows(run_dir):
    with (run_dir / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def last_policy(run_dir):
    return safe_load(max((run_dir / "nn").glob("last_*.pth"), key=lambda path: path.stat().st_mtime_ns))


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A folder with a training of two processes named `straight`, and how they ended."""
    folder = tmp_path_factory.mktemp("ranks")
    return folder, wait_for(start_ranks([*TRAIN, *NEW, "experiment=straight"], 2, folder))


@pytest.fixture(scope="module")
def killed(straight):
    """The same training named `killed`, whose second process is killed in the middle: how both ended, and its row."""
    folder, _ = straight
    processes = start_ranks([*TRAIN, *NEW, "experiment=killed"], 2, folder)
    metrics = folder / "runs" / "killed" / "metrics.jsonl"
    deadline = time.monotonic() + 200.0
    while not (metrics.is_file() and metrics.read_text().count("\n") >= 5):
        assert time.monotonic() < deadline and processes[0].poll() is None
        time.sleep(0.01)
    processes[1].kill()
    return wait_for(processes), processes[1].pid


def test_two_processes_leave_what_one_does_and_a_training_state_each(straight):
    folder, ended = straight
    assert [e.returncode for e in ended] == [0, 0], ended
    assert "2 processes of 16 environments" in ended[0].output and ended[1].output == ""
    run_dir = folder / "runs" / "straight"
    assert len(list((run_dir / "summaries").iterdir())) == 1
    assert [row["iteration"] for row in rows(run_dir)] == [str(1 + n) for n in range(ITERATIONS)]
    assert rows(run_dir)[-1]["frames"] == str(2 * 16 * 8 * ITERATIONS)
    newest = {path.name.partition("_rew_")[2].partition(".")[2].partition(".")[2] for path in newest_files(run_dir)}
    assert newest == {"pth", "json", "state", "rank1.state"}


def newest_files(run_dir):
    return list((run_dir / "nn").glob(f"last_*_ep_{ITERATIONS}_*"))


def test_the_processes_collect_experience_of_their_own(straight):
    from amp_train.checkpoint.store import load_state

    folder, _ = straight
    (first,) = (folder / "runs" / "straight" / "nn").glob(f"last_*_ep_{ITERATIONS}_*.rank1.state")
    second = first.with_name(first.name.replace(".rank1", ""))
    obs = [load_state(path)["rollout"]["obs"] for path in (first, second)]
    assert not (obs[0] == obs[1]).all()


def test_a_killed_process_ends_the_other_with_an_error_that_names_it(killed):
    ended, pid = killed
    assert [e.returncode for e in ended] == [3, -9]
    assert "Error: Rank 0 cannot continue: rank 1 (" in ended[0].output
    assert f"process {pid}) does not respond." in ended[0].output


def test_after_a_death_the_training_goes_on_bit_for_bit(straight, killed):
    folder, _ = straight
    done = wait_for(start_ranks([*TRAIN, "resume=runs/killed"], 2, folder))
    assert [e.returncode for e in done] == [0, 0], done
    assert "Resuming runs/killed after iteration" in done[0].output
    expected, found = (last_policy(folder / "runs" / name) for name in ("straight", "killed"))
    different = [name for name, value in expected["model"].items() if not value.equal(found["model"][name])]
    assert different == []
    for one, other in zip(rows(folder / "runs" / "straight"), rows(folder / "runs" / "killed")):
        assert {k: v for k, v in one.items() if k not in TIMES} == {k: v for k, v in other.items() if k not in TIMES}


def test_another_number_of_processes_cannot_go_on(straight, monkeypatch, capsys):
    folder, _ = straight
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["train", "resume=runs/straight", "max_iterations=40"])
    with pytest.raises(SystemExit) as caught:
        train.main()
    assert caught.value.code == 2
    assert "was trained by 2 process(es)" in capsys.readouterr().err
