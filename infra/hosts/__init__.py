"""Workers on plain machines over SSH: ``python -m infra.hosts``."""
