"""What every law shares: its declaration, its answer, the two forms laws have, and why one may not hold."""
