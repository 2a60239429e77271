"""What judges signals as they come: pure, one small state a stream, the same at the edge and in the cloud."""

from rules.detectors.parameters import DEFAULTS, STATISTICS, Parameters, Prior, Weights
from rules.detectors.record_stack import RecordStack

__all__ = ["DEFAULTS", "STATISTICS", "Parameters", "Prior", "RecordStack", "Weights"]
