#!/opt/triton-users/bin/python
"""``tritonserver`` of the stand-in image: the Python package's binary with its own folders added."""

import os
import sys

from triton_users.server.installed import installation
from triton_users.server.workplace import Workplace

installed = installation()
place = Workplace(installed)
backends = f"--backend-directory={place.backends}"
region = f"--backend-config=python,shm-region-prefix-name={place.region_prefix}"
own = [backends, region, f"--cache-directory={installed.caches}", "--disable-auto-complete-config"]
os.execve(installed.binary, [str(installed.binary), *own, *sys.argv[1:]], installed.environment())
