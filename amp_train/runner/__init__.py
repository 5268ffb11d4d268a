"""Where the environment and rl_games meet: the one layer that knows both."""
