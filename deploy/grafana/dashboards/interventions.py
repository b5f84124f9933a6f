"""The panels about other interventions than VAR."""

from dashboards.panels import AFTER, BEFORE, RATIO, REQUESTS, TOKENS_PER_SECOND, mean, rate, timeline


def panels() -> list:
    changed = " / ".join(rate(f"contrast_{which}_total", by="method") for which in ("changed_tokens", "tokens"))
    return [
        timeline(
            "Requests by method",
            "Successful requests with PAI, VAF or SPIN instead of VAR.",
            REQUESTS,
            [(rate("intervention_changed_head_ratio_count", by="method") + " > 0", "{{method}}")],
            stacked=True,
        ),
        timeline(
            "Attention on the picture by method",
            "Mean share of the changed rows, before and after. For SPIN, suppressed heads count by their factor.",
            RATIO,
            [
                (mean("intervention_visual_attention_ratio", stage, by="method"), f"{{{{method}}}} {legend}")
                for stage, legend in ((BEFORE, "before"), (AFTER, "after"))
            ],
            from_zero=False,
        ),
        timeline(
            "Changed heads by method",
            "Mean share of (row, head, layer). PAI and VAF change all heads of their rows.",
            RATIO,
            [(mean("intervention_changed_head_ratio", by="method"), "{{method}}")],
        ),
        timeline(
            "Tokens with a contrast by method",
            "Tokens of answers, chosen from the logits of a request and its sibling.",
            TOKENS_PER_SECOND,
            [(rate("contrast_tokens_total", by="method") + " > 0", "{{method}}")],
            stacked=True,
        ),
        timeline(
            "Tokens that a contrast changed by method",
            "Share of those whose most probable choice is another than without the contrast.",
            RATIO,
            [(changed, "{{method}}")],
        ),
        timeline(
            "Prompt tokens of siblings",
            "Of contrasts: all, and those that were not computed because they were known.",
            TOKENS_PER_SECOND,
            [(rate("sibling_prompt_tokens_total"), "all"), (rate("sibling_cached_tokens_total"), "known")],
        ),
    ]
