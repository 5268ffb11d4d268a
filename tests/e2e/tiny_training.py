"""The keys of a training that takes a moment: one iteration of eight environments with small nets."""

SMALL = [
    "num_envs=8", "num_threads=1", "max_iterations=1", "video=False", "eval_interval=0", "task.env.episode_length=12",
    "train.params.config.horizon_length=8", "train.params.config.minibatch_size=64",
    "train.params.config.mini_epochs=1", "train.params.config.amp_minibatch_size=32",
    "train.params.config.amp_batch_size=32", "train.params.config.amp_obs_demo_buffer_size=256",
    "train.params.config.warm_start_steps=1", "train.params.config.amp_replay_buffer_size=256",
    "train.params.network.mlp.units=[16,8]", "train.params.network.disc.units=[16,8]",
]  # fmt: skip
