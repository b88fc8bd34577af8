"""Plain linear algebra and statistics, by numpy alone."""
