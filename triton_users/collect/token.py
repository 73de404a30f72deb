"""The token that an agent and a run share: where it comes from, and how one proves to have it.

It never crosses the network: the agent sends a fresh number, the run answers with their HMAC.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "TRITON_AGENT_TOKEN"
ADVICE = (
    f"set {VARIABLE} or give --agent-token-file, with the same token on both sides; this makes one: "
    'python -c "import secrets; print(secrets.token_urlsafe(32))"'
)


class TokenError(ValueError):
    """There is no token, or it cannot be read. The message says what to do."""


def read_token(path: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """From the file, else from the environment. Raises TokenError."""
    if path is None:
        token, where = environment.get(VARIABLE, ""), "the environment"
    else:
        try:
            token, where = Path(path).read_text(encoding="utf-8"), path
        except (OSError, UnicodeDecodeError) as error:
            raise TokenError(f"the agent's token cannot be read from {path}: {ADVICE}") from error
    if not token.strip():
        raise TokenError(f"there is no agent's token in {where}: {ADVICE}")
    return token.strip()


def challenge() -> str:
    return secrets.token_hex(32)


def proof(token: str, challenged: str) -> str:
    return hmac.new(token.encode(), b"triton-users agent " + challenged.encode(), hashlib.sha256).hexdigest()


def proves(token: str, challenged: str, answer: object) -> bool:
    """In constant time."""
    return isinstance(answer, str) and hmac.compare_digest(
        proof(token, challenged).encode(), answer.encode("utf-8", "replace")
    )
