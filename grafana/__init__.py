"""Dashboards for Grafana: what is in ``dashboards/`` is made from ``source``; ``provisioning`` loads it."""
