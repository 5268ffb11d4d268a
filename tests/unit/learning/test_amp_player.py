"""AMPPlayer: plays in a vec env with deferred resets."""

import pytest
import torch
from fake_env import PointMassVecEnv
from make_agent import make_agent, make_player

from amp_train.errors import CheckpointError, ConfigError


@pytest.fixture
def checkpoint(tmp_path):
    agent = make_agent(tmp_path)
    agent.train()
    agent.save(str(tmp_path / "saved"))
    return str(tmp_path / "saved.pth")


def test_a_player_acts_as_the_agent_did(tmp_path, checkpoint):
    agent, player = make_agent(tmp_path), make_player(tmp_path)
    agent.restore(checkpoint)
    player.restore(checkpoint)
    player.has_batch_dimension = True
    obs = torch.randn(5, 4)
    agent.model.eval()
    mu = agent.model({"is_train": False, "prev_actions": None, "obs": obs.clone()})["mus"]
    assert torch.equal(player.get_action(obs, is_deterministic=True), mu.clamp(-1.0, 1.0))


def test_a_player_runs_the_episodes_asked_for_and_resets_what_ended(tmp_path, checkpoint, capsys):
    env = PointMassVecEnv(4, episode_length=5)
    resets = []
    reset_done = env.reset_done
    env.reset_done = lambda: (resets.append(int(env.done.sum())), reset_done())[1]
    player = make_player(tmp_path, env, player={"games_num": 8, "print_stats": False})
    player.restore(checkpoint)
    player.run()
    assert sum(resets) >= 4 + 8  # the four first ones, and every episode that ended
    assert "av steps: 5.0" in capsys.readouterr().out


def test_a_missing_checkpoint_is_one_clear_line(tmp_path):
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        make_player(tmp_path).restore(str(tmp_path / "nowhere.pth"))


def test_rl_games_unsafe_file_watcher_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="player.evaluation"):
        make_player(tmp_path, player={"evaluation": True, "dir_to_monitor": str(tmp_path)})
