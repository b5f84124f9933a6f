"""What a person can put right: a missing file, a flag, a file of another run."""

from __future__ import annotations


class EvaluationError(Exception):
    """Its message says what to do."""
