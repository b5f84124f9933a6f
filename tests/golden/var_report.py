"""What VAR found and did in one request, as the API's VarReport defines it, from the reference's evidence."""

from collections.abc import Iterable

import numpy as np

from var_reference import Evidence, Prompt, VarSettings


def report_tensors(
    prompt: Prompt, settings: VarSettings, evidence: Evidence, num_heads: int, with_maps: bool
) -> dict[str, np.ndarray]:
    """{name: float32 or int64}; README.md gives names, shapes and meanings."""
    num_layers, num_tokens = evidence.phi.shape
    var_layers = range(settings.first_layer, settings.last_layer + 1)
    visual = np.array([prompt.is_visual(i) for i in range(num_tokens)])
    rows = [row for row in range(num_tokens) if prompt.is_eligible(row)]

    decisions = np.zeros((len(rows), num_layers, num_heads), np.int64)
    shares = np.zeros((len(rows), num_layers, 4))
    for i, row in enumerate(rows):
        for layer in var_layers:
            of_heads = evidence.shares[row, layer]
            decisions[i, layer] = [s.image_centric for s in of_heads]
            shares[i, layer, 0] = np.mean([s.image_centric for s in of_heads])
            shares[i, layer, 1] = np.mean([s.omega for s in of_heads], dtype=float)
            shares[i, layer, 2] = np.mean([s.visual_before for s in of_heads], dtype=float)
            shares[i, layer, 3] = np.mean([s.visual_after for s in of_heads], dtype=float)

    layers = np.zeros((num_layers, 6))
    layers[:, 0] = (evidence.sinks & visual).sum(axis=1)
    layers[:, 1] = (evidence.sinks & ~visual).sum(axis=1)
    if rows:
        layers[:, 2:] = shares.mean(axis=0)

    visual_sinks = find_visual_sinks(prompt, evidence)
    means = layers[var_layers].mean(axis=0)
    tensors = {
        "phi": evidence.phi,
        "decisions": decisions,
        "shares": shares,
        "layers": layers,
        "visual_sinks": visual_sinks,
        "totals": np.array([*means[:2], len(visual_sinks), *means[2:], len(rows)]),
    }
    if with_maps:
        map_rows = [row for row in rows if row >= len(prompt.input_ids) - 1]
        for stage, name in enumerate(("map_before", "map_after")):
            maps = [visual_attention(evidence, row, var_layers, visual, stage) for row in map_rows]
            tensors[name] = np.stack(maps)
    return {name: t if t.dtype == np.int64 else t.astype(np.float32) for name, t in tensors.items()}


def visual_attention(evidence: Evidence, row: int, layers: Iterable[int], visual: np.ndarray, stage: int) -> np.ndarray:
    """[visual tokens], mean over layers and heads, before (stage 0) or after (1) redistribution."""
    attention = [of_head[stage] for layer in layers for of_head in evidence.attention[row, layer]]
    return np.mean(attention, axis=0)[visual[: row + 1]]


def place(prompt: Prompt, span: list[int], position: int) -> tuple[int, int]:
    """Row and column of a visual token in the grid; a thumbnail's rows count on from those of the grid."""
    begin, end, rows, cols, *thumbnail = span
    if prompt.by_columns:
        return divmod(position - begin, rows)[::-1]
    if not thumbnail:
        after = sum(map(prompt.is_visual, range(position, end)))  # the token counted, too
        if after > rows * cols:
            raise AssertionError("the class token is a sink, but has no place in the grid")
        return divmod(rows * cols - after, cols)
    in_grid = position - begin - thumbnail[0] * thumbnail[1]
    if in_grid >= 0:
        return divmod(in_grid, cols + 1)
    row, col = divmod(position - begin, thumbnail[1])
    return rows + row, col


def find_visual_sinks(prompt: Prompt, evidence: Evidence) -> np.ndarray:
    """[n, 5]: image, row, column, number of layers, largest phi over these layers."""
    found = []
    for image, span in enumerate(prompt.spans):
        for position in filter(prompt.is_visual, range(*span[:2])):
            sink = evidence.sinks[:, position]
            if sink.any():
                found.append([image, *place(prompt, span, position), sink.sum(), evidence.phi[sink, position].max()])
    return np.array(found).reshape(-1, 5)
