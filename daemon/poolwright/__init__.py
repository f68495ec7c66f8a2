"""Poolwright: the autoscaler of LLM inference fleets that can explain every decision."""
