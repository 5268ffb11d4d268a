"""A real SLURM for the tests of this folder: `make test-slurm` starts one and points SLURM_CONF at it."""

import os
import shutil
from pathlib import Path

import pytest
from batch_jobs import Cluster


@pytest.fixture(scope="session")
def slurm() -> None:
    """Skip without the make-believe cluster; a real one is nothing to test on."""
    if shutil.which("sbatch") is None:
        pytest.skip("SLURM is not installed (make test-slurm says what to install)")
    if "ClusterName=local" not in Path(os.environ.get("SLURM_CONF", os.devnull)).read_text():
        pytest.skip("no cluster of this project runs (make test-slurm starts one)")


@pytest.fixture
def cluster(slurm: None, tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)
