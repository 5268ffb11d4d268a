"""How the launchers' variables are read; none of them runs here."""

import pytest

from amp_train.config import compose, resolve
from amp_train.config.resolve import cores_of_this_process
from amp_train.distributed.launch import first_node, launched, set_rendezvous
from amp_train.errors import ConfigError

TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
SRUN = {
    "SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "5", "SLURM_LOCALID": "1", "SLURM_NODEID": "1",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2),1", "SLURM_STEP_NODELIST": "gpu[007-008,12]", "SLURM_JOB_ID": "41",
    "SLURM_STEP_ID": "2",
}  # fmt: skip


def test_a_process_started_by_hand_has_no_place_among_others():
    assert launched({}) is None


def test_a_batch_script_is_no_task_even_if_its_job_has_several():
    assert launched({"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_LOCALID": "0"}) is None


def test_torchruns_variables_are_read():
    launch = launched(TORCHRUN)
    assert (launch.rank, launch.world_size, launch.local_rank, launch.local_world_size) == (5, 8, 1, 4)


def test_sruns_variables_are_read_where_torchrun_is_not_there():
    launch = launched(SRUN)
    assert (launch.rank, launch.world_size, launch.local_rank, launch.local_world_size) == (3, 5, 1, 2)
    assert launched(dict(SRUN, SLURM_NODEID="2")).local_world_size == 1
    assert launched(dict(SRUN, **TORCHRUN)).launcher == "torchrun"


def test_sruns_tasks_meet_on_the_first_node_at_a_port_of_their_step():
    environ = dict(SRUN)
    set_rendezvous(environ)
    assert environ["MASTER_ADDR"] == "gpu007"
    other_step = dict(SRUN, SLURM_STEP_ID="3")
    set_rendezvous(other_step)
    assert 20000 <= int(environ["MASTER_PORT"]) < 30000
    assert environ["MASTER_PORT"] != other_step["MASTER_PORT"]


def test_what_torchrun_says_about_the_meeting_stands():
    environ = dict(TORCHRUN, MASTER_ADDR="here", MASTER_PORT="1234")
    set_rendezvous(environ)
    assert (environ["MASTER_ADDR"], environ["MASTER_PORT"]) == ("here", "1234")


@pytest.mark.parametrize(
    "nodes, first", [("a1,b2", "a1"), ("n[3]", "n3"), ("rack1-n[09-12]", "rack1-n09"), ("r[1-2]c3", "r1c3"), ("x", "x")]
)
def test_the_first_node_of_slurms_short_form(nodes, first):
    assert first_node(nodes) == first


def test_processes_of_a_machine_share_its_cores(tmp_path):
    quota = tmp_path / "cpu.max"
    alone = cores_of_this_process(None, quota)
    assert cores_of_this_process(launched(TORCHRUN), quota) == max(1, alone // 4)
    assert cores_of_this_process(launched(dict(SRUN, SLURM_CPUS_PER_TASK="1")), quota) == 1
    assert cores_of_this_process(launched(dict(SRUN, SLURM_CPUS_PER_TASK="999")), quota) == alone


def test_frames_of_all_processes_count_towards_max_frames(monkeypatch):
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    limit = f"train.params.config.max_frames={8 * 64 * 8 * 7}"
    settings = ["num_envs=64", "train.params.config.minibatch_size=512", "train.params.config.amp_minibatch_size=64"]
    assert resolve(compose(["multi_gpu=True", limit, *settings])).max_iterations == 7


def test_several_processes_that_do_not_train_together_are_refused(monkeypatch):
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="add multi_gpu=True"):
        resolve(compose([]))


def test_multi_gpu_without_a_launcher_says_how_to_start_it(monkeypatch):
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="torchrun --nproc_per_node=N"):
        resolve(compose(["multi_gpu=True"]))


def test_a_timeout_must_be_positive():
    with pytest.raises(ConfigError, match="multi_gpu_timeout_s"):
        resolve(compose(["multi_gpu_timeout_s=0"]))
