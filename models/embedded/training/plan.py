"""How much the language stage learns, how fast, and where its files lie."""

from dataclasses import dataclass
from pathlib import Path

WARM_UP = 100  # steps
DECAY_SHARE = 0.6  # of all steps, at the end, while the rate falls to zero
# Of adapters and projector at their peak, at 4 scenes a step; five times as much makes a trained part unlearn. With n
# times as many scenes a step, Adam bears sqrt(n) times the rate (Malladi et al. 2022, "On the SDEs and Scaling Rules
# for Adaptive Gradient Algorithms").
ADAPTER_RATE, PROJECTOR_RATE = 2e-4, 5e-5
RATES_BATCH = 4


@dataclass(frozen=True)
class Plan:
    scenes: int  # to learn from in all
    batch: int  # scenes per step
    validate_every: int  # steps
    work: Path
    packages: Path
    start: Path | None = None  # a trained part whose adapters to go on from
    first_scene: int = 0  # behind those the start has seen, which teach it less

    @property
    def steps(self) -> int:
        return self.scenes // self.batch

    @property
    def projector(self) -> Path:
        return self.work / "projector.pt"

    @property
    def chat(self) -> Path:
        return self.work / "chat.json"

    @property
    def checkpoint(self) -> Path:
        return self.work / "checkpoint.pt"

    @property
    def result(self) -> Path:
        return self.work / "trained.safetensors"

    def peak(self, rate: float) -> float:
        """What a rate for RATES_BATCH scenes a step is for the plan's."""
        return rate * (self.batch / RATES_BATCH) ** 0.5

    def rate(self, step: int) -> float:
        """The learning rate as a share of its peak: up, steady, down to zero at the end."""
        return min(1.0, (step + 1) / WARM_UP, (self.steps - step) / (DECAY_SHARE * self.steps))
