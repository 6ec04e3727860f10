"""Signs that questions, documents or answers are no longer what they were. Pure; numpy and scipy alone."""

from frag.drift.monitor import Answered, DriftMonitor, Reading
from frag.drift.shift import mmd_p_value

__all__ = ["Answered", "DriftMonitor", "Reading", "mmd_p_value"]
