"""What every statistic stands on: its context, its network, its groups, its rows, its limits."""
