"""Ways to bring a run onto machines: SSH, compose, Kubernetes. Never part of the installed package."""
