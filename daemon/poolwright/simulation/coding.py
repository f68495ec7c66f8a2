"""A generated hour of coding-assistant traffic, as bursty as the trace that its figures are from.

Source: Azure/AzurePublicDataset, AzureLLMInferenceTrace_code 2023, CC-BY 4.0.
"""

import numpy as np

from poolwright.simulation.workloads import Workload

ARRIVALS_PER_MINUTE = (
    63, 0, 0, 531, 187, 130, 15, 42, 38, 476, 421, 63, 0, 0, 632, 299, 0, 20, 396, 315,
    116, 78, 306, 447, 252, 34, 128, 111, 406, 234, 118, 169, 130, 306, 158, 0, 339, 55, 285, 191,
    0, 28, 205, 245, 99, 0, 0, 32, 0, 0, 0, 97, 212, 22, 32, 113, 47, 196,
)  # fmt: skip
QUANTILES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
INPUT_TOKENS = (3, 17, 75, 147, 578, 1469, 2744, 5188, 7303, 7436, 7437)
OUTPUT_TOKENS = (6, 6, 6, 7, 9, 13, 24, 55, 90, 251, 1899)


def coding_hour(seed: int) -> Workload:
    random = np.random.default_rng(seed)
    minutes = np.repeat(np.arange(len(ARRIVALS_PER_MINUTE)), ARRIVALS_PER_MINUTE)
    at = np.sort((minutes + random.random(len(minutes))) * 60)
    prompt = np.interp(random.random(len(at)), QUANTILES, INPUT_TOKENS).round().astype(np.int64)
    output = np.interp(random.random(len(at)), QUANTILES, OUTPUT_TOKENS).round().astype(np.int64)
    return Workload(at - at[0], prompt, output)
