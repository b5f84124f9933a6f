"""VARServe: VAR. Sinks, attention moved, and the effect on answers; and other interventions."""

from grafana_foundation_sdk.builders import dashboard

from dashboards import interventions
from dashboards.panels import (
    AFTER,
    BEFORE,
    RATIO,
    REQUESTS,
    SECONDS,
    TOKENS,
    bars,
    board,
    choice,
    distribution,
    figure,
    increase,
    layer_map,
    mean,
    padded_layer,
    quantile,
    rate,
    timeline,
    with_rows,
)

UID, TITLE = "varserve-var", "VARServe: VAR"
PRESET = 'preset=~"$preset"'
VISUAL, TEXT, ON = 'kind="visual"', 'kind="text"', 'var="on"'
OK, ASKED = 'code="OK"', 'method!~"GetModel|ListModels"'


def make(other: tuple[str, str]) -> dashboard.Dashboard:
    result = board(UID, TITLE, "What Visual Attention Redistribution measures and changes in live traffic.", other)
    result.with_variable(choice("preset", "label_values(varserve_var_sink_tokens_count, preset)"))
    return with_rows(
        result,
        {
            "Overview": _figures(),
            "Sinks": _sinks(),
            "Attention": _attention(),
            "Layers": _layers(),
            "ON compared with OFF": _on_compared_with_off(),
            "Other interventions": interventions.panels(),
        },
    )


def _figures() -> list:
    return [
        figure(
            "Requests with VAR on",
            "Share of answered requests.",
            RATIO,
            f"{increase('requests_total', ON, OK)} / {increase('requests_total', OK, ASKED)}",
        ),
        figure(
            "Visual sinks per request",
            "Mean over a request's VAR layers, for requests with observe or on. "
            "0: the VAR profile does not fit this model.",
            TOKENS,
            mean("var_sink_tokens", VISUAL, PRESET, over=increase),
        ),
        figure(
            "Text sinks per request",
            "Mean over a request's VAR layers. At least the first token is one in most models.",
            TOKENS,
            mean("var_sink_tokens", TEXT, PRESET, over=increase),
        ),
        figure(
            "Image-centric heads",
            "Share of (row, head, layer) that look at the picture apart from its sinks; VAR acts only there.",
            RATIO,
            mean("var_image_centric_head_ratio", PRESET, over=increase),
        ),
        figure(
            "Attention moved",
            "Share of all attention that VAR took from sinks, in requests with VAR on. "
            "0: VAR has no effect, see the runbook.",
            RATIO,
            mean("var_redistributed_attention_ratio", PRESET, over=increase),
        ),
        figure(
            "Attention on the picture gained",
            "After VAR minus before, in requests with VAR on.",
            RATIO,
            f"{mean('var_visual_attention_ratio', ON, AFTER, PRESET, over=increase)} - "
            f"{mean('var_visual_attention_ratio', ON, BEFORE, PRESET, over=increase)}",
        ),
    ]


def _sinks() -> list:
    return [
        timeline(
            "Sinks per request",
            "Means. A sudden change means another model, VAR profile or kind of picture.",
            TOKENS,
            [
                (mean("var_sink_tokens", VISUAL, PRESET, by="model"), "{{model}} visual"),
                (mean("var_sink_tokens", TEXT, PRESET, by="model"), "{{model}} text"),
            ],
        ),
        distribution(
            "Visual sinks per request",
            "Number of requests by visual sinks. Two bands mean two kinds of pictures.",
            TOKENS,
            "var_sink_tokens",
            VISUAL,
            PRESET,
            width=8,
        ),
        timeline(
            "Visual sinks against last week",
            "The last hour and the mean of the week before. "
            "VarserveSinkDrift fires if they differ by a quarter plus three standard deviations.",
            TOKENS,
            [
                ('model:varserve_var_visual_sink_tokens:mean1h{model=~"$model"}', "{{model}} hour"),
                ('model:varserve_var_visual_sink_tokens:mean1w{model=~"$model"}', "{{model}} week"),
            ],
        ),
    ]


def _attention() -> list:
    return [
        timeline(
            "Attention moved, by preset",
            "Mean share of all attention. hallucination (rho 0.5) moves most, vision_centric (rho 0.9) least.",
            RATIO,
            [(mean("var_redistributed_attention_ratio", PRESET, by="model, preset"), "{{model}} {{preset}}")],
        ),
        distribution(
            "Attention moved",
            "Number of requests by attention moved. If most are at the bottom, VAR is on but does little.",
            RATIO,
            "var_redistributed_attention_ratio",
            PRESET,
            width=8,
        ),
        timeline(
            "Image-centric heads, by preset",
            "Share of (row, head, layer). Falls as rho rises.",
            RATIO,
            [(mean("var_image_centric_head_ratio", PRESET, by="model, preset"), "{{model}} {{preset}}")],
        ),
        timeline(
            "Attention on the picture",
            "Mean share in requests with VAR on, before and after. "
            "The gap is the attention that VAR returns to the picture.",
            RATIO,
            [
                (mean("var_visual_attention_ratio", ON, stage, PRESET), legend)
                for stage, legend in ((BEFORE, "before"), (AFTER, "after"))
            ],
            width=12,
            from_zero=False,
        ),
        timeline(
            "Requests by preset",
            "Requests with VAR on or observing, by preset; custom: the caller set an option.",
            REQUESTS,
            [(rate("var_sink_tokens_count", VISUAL, PRESET, by="var, preset") + " > 0", "{{var}} {{preset}}")],
            width=12,
            stacked=True,
        ),
    ]


def _layers() -> list:
    requests = f"ignoring(layer) group_left() {rate('var_sink_tokens_count', VISUAL)}"
    rows = rate("var_layer_rows_total", ON, by="layer")
    return [
        layer_map(
            "Visual sinks by layer",
            "Per request. Sinks appear in one layer and stay; VAR leaves the layers before it unchanged.",
            TOKENS,
            f"{rate('var_layer_sink_tokens_total', VISUAL, by='layer')} / {requests}",
        ),
        layer_map(
            "Attention moved by layer",
            "Mean share in requests with VAR on. Bright layers change the answers most.",
            RATIO,
            f"{rate('var_layer_redistributed_attention_total', by='layer')} / {rows}",
        ),
        bars(
            "Sinks by layer",
            "Per request, over the time range. VAR leaves layers without sinks unchanged.",
            TOKENS,
            [
                (
                    padded_layer(
                        f"{increase('var_layer_sink_tokens_total', kind, by='layer')} / ignoring(layer) group_left() "
                        f"{increase('var_sink_tokens_count', kind)}"
                    ),
                    name,
                )
                for kind, name in ((VISUAL, "visual"), (TEXT, "text"))
            ],
            "layer",
        ),
        bars(
            "Attention moved by layer",
            "Mean share in requests with VAR on, over the time range.",
            RATIO,
            [
                (
                    padded_layer(
                        f"{increase('var_layer_redistributed_attention_total', by='layer')} / "
                        f"{increase('var_layer_rows_total', ON, by='layer')}"
                    ),
                    "moved",
                )
            ],
            "layer",
        ),
    ]


def _on_compared_with_off() -> list:
    tokens = f"{rate('generated_tokens_total', by='var')} / {rate('queue_time_seconds_count', by='var')}"
    tokens_shown = f"{increase('generated_tokens_total', by='var')} / {increase('queue_time_seconds_count', by='var')}"
    return [
        timeline(
            "First token",
            "Median by mode. With the same traffic the times are the same, because VAR costs little.",
            SECONDS,
            [(quantile(0.5, "time_to_first_token_seconds", by="var"), "{{var}}")],
        ),
        timeline(
            "Between two tokens",
            "Median by mode. The modes share batches, so they share most of the cost.",
            SECONDS,
            [(quantile(0.5, "inter_token_latency_seconds", by="var"), "{{var}}")],
        ),
        timeline(
            "Length of answers",
            "Mean tokens by mode. If VAR makes answers much longer or shorter, it changes more than attention.",
            TOKENS,
            [(tokens, "{{var}}")],
        ),
        bars(
            "Whole request by mode",
            "Successful calls over the time range. Differences come from the length of answers or the cost of VAR.",
            SECONDS,
            [
                (quantile(q, "request_duration_seconds", by="var", over=increase), f"p{q * 100:.0f}")
                for q in (0.5, 0.95)
            ],
            "var",
            width=8,
        ),
        bars(
            "Between two tokens by mode",
            "Over the time range. The modes share batches, so a large difference comes from the traffic.",
            SECONDS,
            [
                (quantile(q, "inter_token_latency_seconds", by="var", over=increase), f"p{q * 100:.0f}")
                for q in (0.5, 0.95)
            ],
            "var",
            width=8,
        ),
        bars(
            "Length of answers by mode",
            "Mean tokens over the time range. Compare before and after a change of preset.",
            TOKENS,
            [(tokens_shown, "tokens")],
            "var",
            width=8,
        ),
    ]
