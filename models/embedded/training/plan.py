"""How much the language stage learns, how fast, and where its files are."""

from dataclasses import dataclass
from pathlib import Path

WARM_UP = 100  # steps
DECAY_SHARE = 0.6  # share of all steps, at the end, during which the rate falls to zero
# Peak rates of adapters and projector at 4 scenes per step; five times as much makes a trained part unlearn. With n
# times as many scenes per step, Adam tolerates sqrt(n) times the rate (Malladi et al. 2022, "On the SDEs and Scaling
# Rules for Adaptive Gradient Algorithms").
ADAPTER_RATE, PROJECTOR_RATE = 2e-4, 5e-5
RATES_BATCH = 4


@dataclass(frozen=True)
class Plan:
    scenes: int  # total number to train on
    batch: int  # scenes per step
    validate_every: int  # steps
    work: Path
    packages: Path
    start: Path | None = None  # trained part whose adapters to continue from
    first_scene: int = 0  # after those that the start has seen, which teach it less

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
        """Converts a rate for RATES_BATCH scenes per step to the plan's."""
        return rate * (self.batch / RATES_BATCH) ** 0.5

    def rate(self, step: int) -> float:
        """The learning rate as a share of its peak: rises, stays constant, falls to zero at the end."""
        return min(1.0, (step + 1) / WARM_UP, (self.steps - step) / (DECAY_SHARE * self.steps))
