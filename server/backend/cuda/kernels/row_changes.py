"""Changes of attention rows other than VAR's redistribution: of scores before softmax (PAI, VAF), and of the outputs of
the heads that look at the picture least (SPIN). docs/interventions.md has the formulas.

Rows mix in one launch, and registers are few. So `attend_rows` keeps two notes of a lane, whose meaning depends on how
its row is changed in the layer:
  REDISTRIBUTE, or not at all   number of visual tokens, of those that are sinks
  REWEIGH                       sums of weights before the change: of all tokens, of visual tokens
  SUPPRESS_HEADS                sum of scores on visual tokens; the other means nothing

Letters and tables are those of row_attention.py.
"""

import triton
import triton.language as tl

from paged_pool import NO_SCORE

# interventions::RowChange
REDISTRIBUTE = tl.constexpr(0)
REWEIGH = tl.constexpr(1)
SUPPRESS_HEADS = tl.constexpr(2)

INTS = tl.constexpr(11)  # of a row in row_ints
FLOATS = tl.constexpr(8)  # of a row in row_floats
STATS = tl.constexpr(8)  # of a row, head and split: see attend_rows
FACTORS = tl.constexpr(6)  # of a row and head: see combine_rows
HEADS = tl.constexpr(64)  # that are ranked at a time


@triton.jit
def is_changed(row_ints, row, kind: tl.constexpr, layer):
    """Whether the row, or each of the rows, is changed in this way in the layer."""
    of_row = row_ints + row * INTS
    in_range = (tl.load(of_row + 3) <= layer) & (layer <= tl.load(of_row + 4))
    return in_range & (tl.load(of_row + 8) == kind)


@triton.jit
def reweighed(score, is_visual, slot, row_ints, row_floats, row, layer):
    """Scores, changed in rows that reweigh. score: [M, N]; is_visual, slot: [N]; row: [M]"""
    of_row = row_floats + row * FLOATS
    visual_scale = tl.load(of_row + 4)[:, None]
    visual_boost = tl.load(of_row + 5)[:, None]
    text_scale = tl.load(of_row + 6)[:, None]
    is_text = slot[None, :] < tl.load(row_ints + row * INTS + 9)[:, None]
    of_visual = score * visual_scale + tl.abs(score) * visual_boost
    changed = tl.where(is_visual[None, :], of_visual, tl.where(is_text, score * text_scale, score))
    return tl.where(is_changed(row_ints, row, REWEIGH, layer)[:, None], changed, score)


@triton.jit
def take_notes(score, sees, visual_seen, notes, top_before, row_ints, row, layer):
    """Notes of [M] lanes with N more slots: => [M], [M] and the maximum of scores before the change, [M]. Those of
    lanes that neither reweigh nor suppress mean nothing. score, sees, visual_seen: [M, N]; notes: two of [M]"""
    score = tl.where(sees, score, NO_SCORE)
    new_top = tl.maximum(top_before, tl.max(score, 1))
    fade = tl.exp(top_before - new_top)
    weight = tl.where(sees, tl.exp(score - new_top[:, None]), 0.0)
    reweighs = is_changed(row_ints, row, REWEIGH, layer)
    look = notes[0] + tl.sum(tl.where(visual_seen, score, 0.0), 1)
    all_before = notes[0] * fade + tl.sum(weight, 1)
    visual_before = notes[1] * fade + tl.sum(tl.where(visual_seen, weight, 0.0), 1)
    return tl.where(reweighs, all_before, look), visual_before, new_top


@triton.jit
def combine_before(stats, first_split, splits, head, lane_ok, heads, SP: tl.constexpr):
    """Of a reweighed row before the change: maximum score, sum of weights, of those of visual tokens. head: [GP]"""
    tops = tl.full([SP, head.shape[0]], NO_SCORE, tl.float32)
    totals = tl.zeros([SP, head.shape[0]], tl.float32)
    visuals = tl.zeros([SP, head.shape[0]], tl.float32)
    for start in range(0, splits, SP):
        split = start + tl.arange(0, SP)
        ok = (split < splits)[:, None] & lane_ok[None, :]
        of = stats + ((first_split + split).to(tl.int64)[:, None] * heads + head[None, :]) * STATS
        top = tl.load(of + 7, mask=ok, other=NO_SCORE)
        new_top = tl.maximum(tops, top)
        fade = tl.exp(tops - new_top)
        gain = tl.exp(top - new_top)
        tops = new_top
        totals = totals * fade + tl.load(of + 5, mask=ok, other=0.0) * gain
        visuals = visuals * fade + tl.load(of + 6, mask=ok, other=0.0) * gain
    top = tl.max(tops, 0)
    share = tl.exp(tops - top[None, :])
    return top, tl.where(lane_ok, tl.sum(totals * share, 0), 1.0), tl.sum(visuals * share, 0)


@triton.jit
def combine_looks(stats, first_split, splits, head, ok, heads):
    """Sums of scores on visual tokens of a row whose heads are suppressed; the least of all unless ok. head: [...]"""
    look = tl.where(ok, 0.0, float("-inf"))
    for split in range(splits):
        of = stats + ((first_split + split).to(tl.int64) * heads + head) * STATS
        look += tl.load(of + 5, mask=ok, other=0.0)
    return look


@triton.jit
def is_suppressed(stats, first_split, splits, head, lane_ok, heads, kept_heads):
    """Whether kept_heads others look at the picture more. Of heads that look equally, the first is kept. head: [GP]"""
    look = combine_looks(stats, first_split, splits, head, lane_ok, heads)[:, None]
    rank = tl.zeros(head.shape, tl.int32)
    for start in range(0, heads, HEADS):
        other = start + tl.arange(0, HEADS)
        other_look = combine_looks(stats, first_split, splits, other, other < heads, heads)[None, :]
        ahead = (other_look > look) | ((other_look == look) & (other[None, :] < head[:, None]))
        rank += tl.sum(ahead.to(tl.int32), 1)
    return lane_ok & (rank >= kept_heads)
