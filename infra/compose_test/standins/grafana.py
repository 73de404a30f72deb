#!/usr/bin/env python3
"""Answers the health check, and names the files and settings it was given."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """One JSON page for everything."""

    def do_GET(self) -> None:
        files = sorted(str(path) for path in Path("/etc/grafana").rglob("*") if path.is_file())
        settings = sorted(name for name in os.environ if name.startswith("GF_"))
        body = json.dumps({"database": "ok", "files": files, "settings": settings}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


ThreadingHTTPServer(("0.0.0.0", 3000), Handler).serve_forever()
