"""Locustfiles of the bench: what users would write."""
