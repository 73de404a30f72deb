"""The agent: sensors of this host and of Triton, sampled each second on the run's time axis."""
