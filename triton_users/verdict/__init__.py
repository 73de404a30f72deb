"""Verdicts: whether a result can be believed, why not, and what to do; pure functions of plain numbers."""
