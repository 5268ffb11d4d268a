"""Training in several processes: how they were started, how they connect, and how a lost one is detected."""
