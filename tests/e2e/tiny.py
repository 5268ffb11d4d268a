"""A training of a second or so: what it leaves matters, not what it learns."""

TINY = (
    "num_envs=16", "num_threads=1", "eval_interval=0", "task.env.episode_length=12",
    "train.params.config.horizon_length=8", "train.params.config.minibatch_size=64",
    "train.params.config.mini_epochs=1", "train.params.config.amp_minibatch_size=32",
    "train.params.config.amp_batch_size=32", "train.params.config.amp_obs_demo_buffer_size=64",
    "train.params.config.amp_replay_buffer_size=64", "train.params.config.warm_start_steps=1",
    "train.params.network.mlp.units=[16,8]", "train.params.network.disc.units=[16,8]",
)  # fmt: skip
