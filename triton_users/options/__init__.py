"""What the user asks for: the option table, and Settings read from it, with all faults at once."""

from triton_users.options.faults import Fault, OptionError
from triton_users.options.habits import perf_analyzer_habits
from triton_users.options.settings import Settings
from triton_users.options.table import OPTIONS, add_options

__all__ = ["OPTIONS", "Fault", "OptionError", "Settings", "add_options", "perf_analyzer_habits"]
