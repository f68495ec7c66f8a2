"""Signals → proposals: what each trigger of a pool wishes, and why. Pure."""

from poolwright.triggers.evaluate import TriggerMemory, View, evaluate

__all__ = ["TriggerMemory", "View", "evaluate"]
