"""What keeps a run from starting, in words for the user."""


class RunError(Exception):
    """Options, locustfile or environment are wrong; nothing was measured. The text says what to do."""


def set_off(text: str) -> str:
    """``text`` for the console: of several lines none stands bare under the first, which names who speaks."""
    lines = text.splitlines()
    return text if len(lines) < 2 else "\n  ".join(("nothing was started:", *lines))
