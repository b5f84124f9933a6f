"""The converted tokenizer gives SentencePiece's own ids."""

import itertools
import json
import pathlib
import random
import re
import tempfile
import unittest

import sentencepiece
from tokenizers import Tokenizer

from directories import convert, write_original
from originals import IMAGE_TOKENS, INTERNLM2_TOKENS, UNUSED, internlm2_tokenizer, sentencepiece_model
from tricky_texts import texts

OTHERS = [
    "\uff26\uff35 width",
    "混合 English 和中文。",
    "👩‍👩‍👧‍👦 \U00020000",
    "<0x0A> [UNUSED_TOKEN_",
    *UNUSED[3:],
    "a" * 70,
]


def converted(folder: pathlib.Path, **files: object) -> Tokenizer:
    """Of the tiny InternLM2 directory with these files in place of its own."""
    write_original(folder / "original", "internlm2")
    for name, content in files.items():
        file = folder / "original" / name.replace("__", ".")
        file.write_bytes(content) if isinstance(content, bytes) else file.write_text(json.dumps(content))
    status, errors = convert(folder / "original", folder / "converted")
    if status:
        raise AssertionError(errors)
    return Tokenizer.from_file(str(folder / "converted" / "tokenizer.json"))


class SentencePiece(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory()
        cls.tokenizer = converted(pathlib.Path(cls.folder.name))
        model = pathlib.Path(cls.folder.name) / "original" / "tokenizer.model"
        cls.pieces = sentencepiece.SentencePieceProcessor(model_file=str(model))
        config = json.loads((model.parent / "tokenizer_config.json").read_text())
        cls.special = {entry["content"]: int(i) for i, entry in config["added_tokens_decoder"].items()}

    @classmethod
    def tearDownClass(cls) -> None:
        cls.folder.cleanup()

    def reference(self, text: str) -> list[int]:
        """InternLM2Tokenizer: BOS, the added tokens by their ids, and SentencePiece between them."""
        parts = re.split("(" + "|".join(map(re.escape, self.special)) + ")", text)
        ids = [[self.special[part]] if part in self.special else self.pieces.encode(part) for part in parts]
        return [self.pieces.bos_id(), *itertools.chain(*ids)]

    def test_texts(self) -> None:
        for text in [*texts(), *OTHERS]:
            with self.subTest(text=text):
                self.assertEqual(self.tokenizer.encode(text).ids, self.reference(text))

    def test_pieces_in_any_order(self) -> None:
        rng = random.Random(3)
        pieces = [self.pieces.id_to_piece(i) for i in range(3, self.pieces.get_piece_size())]
        pieces = [piece.replace("▁", " ") for piece in pieces if piece not in UNUSED[:3]]
        for _ in range(500):
            text = "".join(rng.choices(pieces, k=rng.randint(1, 12)))
            self.assertEqual(self.tokenizer.encode(text).ids, self.reference(text), text)

    def test_special_tokens(self) -> None:
        tokens = [*INTERNLM2_TOKENS, *IMAGE_TOKENS, "<unk>", "<s>", "</s>"]
        for text in [" ", "a b", "\n", "你好 ", "<|im_", "é"]:
            for token in tokens:
                for prompt in (token + text, text + token, f"{text}{token}{token}{text}"):
                    self.assertEqual(self.tokenizer.encode(prompt).ids, self.reference(prompt), prompt)

    def test_a_token_that_took_a_pieces_id(self) -> None:
        """The text of the piece is only text: nobody can write the token by it."""
        end = self.special["<|im_end|>"]
        piece = self.pieces.id_to_piece(end)
        self.assertEqual(self.tokenizer.token_to_id("<|im_end|>"), end)
        self.assertNotIn(end, self.tokenizer.encode(piece).ids)
        self.assertEqual(self.tokenizer.decode(self.tokenizer.encode(piece).ids), piece)

    def test_decoding(self) -> None:
        for text in [*texts(), *OTHERS]:
            ids = self.pieces.encode(text)
            self.assertEqual(self.tokenizer.decode(ids, skip_special_tokens=False), self.pieces.decode(ids), text)

    def test_dummy_prefix_and_no_bos(self) -> None:
        model = sentencepiece_model(add_dummy_prefix=True)
        pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
        config = internlm2_tokenizer()[0]["tokenizer_config.json"]
        size = pieces.get_piece_size()
        entries = iter(config["added_tokens_decoder"].values())
        ids = [0, 1, 2, *range(size, size + len(config["added_tokens_decoder"]) - 3)]
        config |= {"add_bos_token": False, "added_tokens_decoder": {str(i): next(entries) for i in ids}}
        original = {"tokenizer__model": model, "tokenizer_config__json": config}
        with tempfile.TemporaryDirectory() as folder:
            tokenizer = converted(pathlib.Path(folder), **original)
        for text in [*texts(), *OTHERS]:
            with self.subTest(text=text):
                ids = pieces.encode(text)
                self.assertEqual(tokenizer.encode(text).ids, ids)
                self.assertEqual(tokenizer.decode(ids, skip_special_tokens=False), pieces.decode(ids))


if __name__ == "__main__":
    unittest.main()
