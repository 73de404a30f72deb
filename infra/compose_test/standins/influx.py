#!/usr/bin/env python3
"""``influx ping`` of the stand-in image."""

import urllib.request

urllib.request.urlopen("http://127.0.0.1:8086/ping", timeout=2)
