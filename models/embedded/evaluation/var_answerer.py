"""An answerer under a VAR setting, computed by the slow reference."""

from pathlib import Path

from evaluation.answerer import TransformersAnswerer
from evaluation.var_reference import Setting, Shares, VarDecoder


class VarAnswerer(TransformersAnswerer):
    def __init__(self, directory: Path, sink_dimensions: list[int], max_tokens: int = 128) -> None:
        super().__init__(directory, max_tokens, attention="var")
        self.decoder = VarDecoder(self.model.model.language_model, sink_dimensions)

    def set(self, setting: Setting) -> None:
        self.decoder.setting = setting
        self.decoder.reset_shares()

    @property
    def shares(self) -> list[Shares]:
        """Shares by layer since the last set()."""
        return self.decoder.shares

    def _on_picture(self, num_visual: int) -> None:
        self.decoder.begin(num_visual)

    def forget(self, length: int) -> None:
        super().forget(length)
        self.decoder.forget(length)
