"""The run's directory: found again by its name, never shared by two trainings."""

import pytest

from amp_train.config import compose, make_run_dir
from amp_train.errors import ConfigError


def config_in(tmp_path, *overrides):
    return compose(["train_dir={}".format(tmp_path), *overrides])


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
    with pytest.raises(ConfigError, match="already holds a training"):
        make_run_dir(config_in(tmp_path, "experiment=mine"))
    with pytest.raises(ConfigError, match="already holds a training"):
        make_run_dir(config_in(tmp_path, "experiment=mine", "checkpoint={}".format(tmp_path / "other.pth")))
    with pytest.raises(ConfigError, match="continue it with resume="):
        make_run_dir(config_in(tmp_path, "experiment=mine", "checkpoint={}".format(checkpoint)))


@pytest.mark.parametrize("name", ["../outside", "/outside"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="plain name"):
        make_run_dir(config_in(tmp_path, "experiment={}".format(name)))


def test_a_train_dir_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="train_dir"):
        make_run_dir(config_in(tmp_path / "file"))
