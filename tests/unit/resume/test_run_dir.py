"""The run's directory: found again by its name, never shared by two trainings."""

import pytest

from amp_train.config import compose
from amp_train.errors import CheckpointError, ConfigError
from amp_train.resume.run_dir import ResumeTarget, make_run_dir, resume_target


def config_in(tmp_path, *overrides):
    return compose([f"train_dir={tmp_path}", *overrides])


def test_a_named_run_goes_where_the_name_says(tmp_path):
    config = config_in(tmp_path, "experiment=mine")
    assert make_run_dir(config) == tmp_path / "mine"
    assert (tmp_path / "mine").is_dir()


def test_unnamed_runs_started_in_the_same_second_do_not_collide(tmp_path):
    paths = []
    for _ in range(3):
        config = config_in(tmp_path)
        paths.append(make_run_dir(config))
        assert config.experiment == paths[-1].name
    assert len(set(paths)) == 3
    assert all(path.name.startswith("HumanoidAMP_walk_") for path in paths)


def test_jobs_of_a_sweep_do_not_share_a_name(tmp_path):
    names = [make_run_dir(config_in(tmp_path, "experiment=mine"), job).name for job in (0, 1)]
    assert names == ["mine_0", "mine_1"]


def test_a_directory_with_checkpoints_is_not_overwritten(tmp_path):
    checkpoint = tmp_path / "mine" / "nn" / "last.pth"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    with pytest.raises(ConfigError, match="already contains a training"):
        make_run_dir(config_in(tmp_path, "experiment=mine"))
    with pytest.raises(ConfigError, match="already contains a training"):
        make_run_dir(config_in(tmp_path, "experiment=mine", f"checkpoint={tmp_path / 'other.pth'}"))
    with pytest.raises(ConfigError, match="continue it with resume="):
        make_run_dir(config_in(tmp_path, "experiment=mine", f"checkpoint={checkpoint}"))


@pytest.mark.parametrize("name", ["../outside", "/outside"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="plain name"):
        make_run_dir(config_in(tmp_path, f"experiment={name}"))


def test_a_train_dir_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="train_dir"):
        make_run_dir(config_in(tmp_path / "file"))


BATCH = {"SLURM_JOB_ID": "17", "SLURM_JOB_NAME": "amp-train"}


@pytest.fixture
def no_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)


def test_a_new_training_begins_unless_told_otherwise(tmp_path, no_terminal):
    assert resume_target(config_in(tmp_path, "experiment=mine"), environ={}) is None
    assert resume_target(config_in(tmp_path, "experiment=mine", "resume=never"), environ=BATCH) is None


@pytest.mark.parametrize(
    "environ, name",
    [
        (BATCH, "HumanoidAMP_walk_job17"),
        (dict(BATCH, SLURM_ARRAY_JOB_ID="16", SLURM_ARRAY_TASK_ID="3"), "HumanoidAMP_walk_job16_3"),
    ],
)
def test_a_batch_job_finds_its_training_again_by_its_number(tmp_path, no_terminal, environ, name):
    for _ in ("first", "requeued"):
        config = config_in(tmp_path)
        assert resume_target(config, environ=environ) == ResumeTarget(tmp_path / name)
        assert config.experiment == name


def test_jobs_of_a_sweep_in_one_batch_job_are_told_apart(tmp_path, no_terminal):
    assert resume_target(config_in(tmp_path), 4, BATCH).run_dir.name == "HumanoidAMP_walk_job17_4"


@pytest.mark.parametrize("name", ["interactive", "bash"])
def test_an_interactive_allocation_is_no_batch_job(tmp_path, no_terminal, name):
    assert resume_target(config_in(tmp_path), environ=dict(BATCH, SLURM_JOB_NAME=name)) is None


def test_a_terminal_is_no_batch_job(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    assert resume_target(config_in(tmp_path), environ=BATCH) is None


def test_auto_outside_a_batch_job_needs_a_name(tmp_path):
    with pytest.raises(ConfigError, match="give experiment=NAME"):
        resume_target(config_in(tmp_path, "resume=auto"), environ={})
    assert (
        resume_target(config_in(tmp_path, "resume=auto", "experiment=a/b"), environ={}).run_dir == tmp_path / "a" / "b"
    )


def test_a_path_may_be_the_run_directory_its_nn_folder_or_any_file_of_a_checkpoint(tmp_path):
    folder, config = tmp_path / "mine" / "nn", config_in(tmp_path)
    folder.mkdir(parents=True)
    name = "last_toy_ep_10_rew_1.5"
    for path in (tmp_path / "mine", folder):
        config.resume = str(path)
        assert resume_target(config, environ={}) == ResumeTarget(tmp_path / "mine", None, must_exist=True)
    for suffix in (".pth", ".state", ".rank1.state", ".json"):
        path = folder / (name + suffix)
        path.touch()
        config.resume = str(path)
        assert resume_target(config, environ={}) == ResumeTarget(tmp_path / "mine", name, must_exist=True)


def test_a_path_that_is_none_of_a_run_is_refused_in_one_line(tmp_path):
    (tmp_path / "file.txt").touch()
    for path in ("nowhere", "file.txt"):
        with pytest.raises(CheckpointError, match="neither a run directory nor a checkpoint") as caught:
            resume_target(config_in(tmp_path, f"resume='{tmp_path / path}'"), environ={})
        assert "\n" not in str(caught.value)


def test_a_resumed_training_stays_where_it_is(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(ConfigError, match="leave experiment= out"):
        resume_target(config_in(tmp_path, f"resume='{tmp_path / 'mine'}'", "experiment=other"), environ={})
