"""A SentencePiece BPE model => the same tokenizer for the tokenizers library."""

from __future__ import annotations

import pathlib

from google.protobuf.message import DecodeError
from sentencepiece import sentencepiece_model_pb2 as sentencepiece_model
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

from fields import Refused

SPACE = "▁"
Piece = sentencepiece_model.ModelProto.SentencePiece


def read_proto(file: pathlib.Path) -> sentencepiece_model.ModelProto:
    proto = sentencepiece_model.ModelProto()
    try:
        proto.ParseFromString(file.read_bytes())
    except DecodeError as error:
        raise Refused(f"{file.name}: {error}") from None
    trainer, normalizer = proto.trainer_spec, proto.normalizer_spec
    user_defined = any(piece.type == Piece.USER_DEFINED for piece in proto.pieces)
    for refused, field in (
        (trainer.model_type != trainer.BPE, "trainer_spec.model_type: only BPE is supported"),
        (trainer.treat_whitespace_as_suffix, "trainer_spec.treat_whitespace_as_suffix: true is not supported"),
        (not trainer.byte_fallback, "trainer_spec.byte_fallback: false is not supported"),
        (normalizer.precompiled_charsmap, f"normalizer_spec.name: {normalizer.name} is not supported, only identity"),
        (normalizer.remove_extra_whitespaces, "normalizer_spec.remove_extra_whitespaces: true is not supported"),
        (not normalizer.escape_whitespaces, "normalizer_spec.escape_whitespaces: false is not supported"),
        (
            normalizer.add_dummy_prefix and user_defined,
            "normalizer_spec.add_dummy_prefix: true is not supported with user-defined pieces",
        ),
        (not 0 <= trainer.unk_id < len(proto.pieces), "trainer_spec.unk_id: is not the id of a piece"),
        (any(piece.type == Piece.UNUSED for piece in proto.pieces), "pieces: unused ones are not supported"),
    ):
        if refused:
            raise Refused(f"{file.name}: {field}")
    return proto


def merges(proto: sentencepiece_model.ModelProto) -> list[tuple[str, str]]:
    """Every pair of pieces that makes a piece, the one with the best score first."""
    scores = {piece.piece: piece.score for piece in proto.pieces if piece.type == Piece.NORMAL}
    ids = {piece.piece: i for i, piece in enumerate(proto.pieces)}
    pairs = []
    for piece, score in scores.items():
        splits = ((piece[:i], piece[i:]) for i in range(1, len(piece)))
        pairs += [(-score, ids[a], ids[b], a, b) for a, b in splits if a in scores and b in scores]
    return [(a, b) for *_, a, b in sorted(pairs)]


def sentencepiece_bpe(file: pathlib.Path, added: dict[int, AddedToken], prefixes: bool = True) -> Tokenizer:
    """`added` have the ids of pieces or follow them. The text of a piece whose id one of them has is ordinary text.
    `prefixes`: puts the model's dummy prefix before every text between added tokens; otherwise the caller puts a space
    where one belongs."""
    proto = read_proto(file)
    pieces = {i: piece.piece for i, piece in enumerate(proto.pieces)}
    pieces |= {i: token.content for i, token in added.items() if i in pieces}
    vocabulary = {piece: i for i, piece in pieces.items()}
    pairs = [pair for pair in merges(proto) if {*pair, "".join(pair)} <= vocabulary.keys()]
    unknown = pieces[proto.trainer_spec.unk_id]
    tokenizer = Tokenizer(models.BPE(vocabulary, pairs, unk_token=unknown, fuse_unk=True, byte_fallback=True))
    steps = [normalizers.Replace(" ", SPACE)]
    ends = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if proto.normalizer_spec.add_dummy_prefix:
        ends.append(decoders.Strip(" ", 1, 0))
        if prefixes:
            steps.insert(0, normalizers.Prepend(SPACE))
    tokenizer.normalizer, tokenizer.decoder = normalizers.Sequence(steps), decoders.Sequence(ends)
    user_defined = [i for i, piece in enumerate(proto.pieces) if piece.type == Piece.USER_DEFINED and i not in added]
    tokenizer.add_tokens([AddedToken(pieces[i], normalized=False, special=False) for i in user_defined])
    return tokenizer
