"""Writes the dashboards to grafana/dashboards/."""

from __future__ import annotations

from pathlib import Path

from grafana.source.files import FOLDER, files

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        Path(FOLDER, name).write_text(text, encoding="utf-8")
