"""A training in several processes: how they were started, how they meet, and how a lost one is noticed."""
