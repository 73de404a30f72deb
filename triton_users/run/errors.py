"""What keeps a run from starting, in words for the user."""


class RunError(Exception):
    """Options, locustfile or environment are wrong; nothing was measured. The text says what to do."""
