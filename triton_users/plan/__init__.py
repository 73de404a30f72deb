"""Plans: which steps to measure, as pure functions of ``measure(step)``."""
