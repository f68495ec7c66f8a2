"""Backtests: a trace played by the rules and by other autoscalers' algorithms, on one plant."""
