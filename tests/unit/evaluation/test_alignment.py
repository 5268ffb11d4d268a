"""Worker processes of the alignment."""

import signal
import subprocess

from amp_train.evaluation.alignment import children_spared


def test_processes_started_meanwhile_leave_ctrl_c_to_their_parent():
    with children_spared():
        spared = subprocess.Popen(["sleep", "5"])
    heard = subprocess.Popen(["sleep", "5"], preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    for process in (spared, heard):
        process.send_signal(signal.SIGINT)
    assert heard.wait(2.0) == -signal.SIGINT
    assert spared.poll() is None
    spared.terminate()
    assert spared.wait(2.0) == -signal.SIGTERM
