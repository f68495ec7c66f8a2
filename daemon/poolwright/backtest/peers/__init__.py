"""Other autoscalers' algorithms, one module each, restated from their public documentation."""
