"""VARServe: serving. Traffic, latency, and what the engine does with it."""

from grafana_foundation_sdk.builders import dashboard

from dashboards.panels import (
    COUNT,
    RATIO,
    REQUESTS,
    SECONDS,
    TOKENS_PER_SECOND,
    bars,
    board,
    figure,
    increase,
    mean,
    quantile,
    quantiles,
    rate,
    series,
    timeline,
    with_rows,
)

UID, TITLE = "varserve-serving", "VARServe: serving"
FAULTS = 'code=~"INTERNAL|UNKNOWN|UNAVAILABLE|DEADLINE_EXCEEDED"'


def make(other: tuple[str, str]) -> dashboard.Dashboard:
    result = board(UID, TITLE, "Traffic, latency and load of VARServe replicas.", other)
    return with_rows(
        result,
        {
            "In the time shown": _figures(),
            "Traffic": _traffic(),
            "Latency": _latency(),
            "Engine": _engine(),
            "Faults": _faults(),
        },
    )


def _figures() -> list:
    return [
        figure(
            "Replicas ready",
            "Replicas that take requests. Fewer than you run: some are loading, draining or stuck.",
            COUNT,
            f"sum({series('ready')})",
        ),
        figure(
            "Requests",
            "Calls that ended, well or not; each setting of a Compare counts.",
            COUNT,
            increase("requests_total"),
        ),
        figure(
            "Errors",
            "Share of calls that ended with INTERNAL, UNKNOWN, UNAVAILABLE or DEADLINE_EXCEEDED. "
            "Callers' own mistakes do not count.",
            RATIO,
            f"{increase('requests_total', FAULTS)} / {increase('requests_total')}",
            bad_from=0.05,
        ),
        figure(
            "First token, p95",
            "One call in twenty waits longer for its first token.",
            SECONDS,
            quantile(0.95, "time_to_first_token_seconds", over=increase),
            bad_from=5,
        ),
        figure(
            "Between tokens, p95",
            "One token in twenty comes later after the one before. People read about ten tokens a second.",
            SECONDS,
            quantile(0.95, "inter_token_latency_seconds", over=increase),
            bad_from=0.2,
        ),
        figure(
            "Prompt tokens cached",
            "Share of prompt tokens that were not computed again. "
            "High where callers ask several questions about one picture.",
            RATIO,
            f"{increase('prefix_cache_hits_total')} / {increase('prefix_cache_queries_total')}",
        ),
    ]


def _traffic() -> list:
    return [
        timeline(
            "Requests by status",
            "What calls ended with. RESOURCE_EXHAUSTED: the queue is full, add replicas. "
            "UNAVAILABLE: replicas start or drain.",
            REQUESTS,
            [(rate("requests_total", by="code") + " > 0", "{{code}}")],
            stacked=True,
        ),
        timeline(
            "Requests by VAR mode",
            "How many requests ask for VAR, or only to observe.",
            REQUESTS,
            [(rate("requests_total", 'code="OK"', by="var"), "{{var}}")],
            stacked=True,
        ),
        timeline(
            "How answers end",
            "stop: the model ended it; "
            "length: max_tokens was reached, so callers get half answers if this is most of them.",
            REQUESTS,
            [(rate("requests_total", 'code="OK"', 'method!="GetModel"', by="finish_reason"), "{{finish_reason}}")],
            stacked=True,
        ),
    ]


def _latency() -> list:
    return [
        timeline(
            "First token",
            "From a call's arrival to its first token: queue, pictures and prompt.",
            SECONDS,
            quantiles("time_to_first_token_seconds"),
        ),
        timeline(
            "Between two tokens",
            "Grows with the batch, and jumps where long prompts are computed between.",
            SECONDS,
            quantiles("inter_token_latency_seconds"),
        ),
        timeline(
            "Queue",
            "For a worker that makes the prompt, then for a place in the batch. "
            "Above zero for long: one of them is full.",
            SECONDS,
            [*quantiles("queue_time_seconds"), (f"max({series('oldest_waiting_seconds')})", "oldest now")],
        ),
        timeline(
            "Whole request",
            "Calls that ended well, from arrival to end. Depends on the length of answers.",
            SECONDS,
            quantiles("request_duration_seconds"),
        ),
        timeline(
            "Where the first token's time goes",
            "Means. Pictures: decoding and resizing. Queue: waiting for admission. Prompt: vision tower and decoder.",
            SECONDS,
            [
                (mean("image_seconds"), "pictures"),
                (mean("queue_time_seconds"), "queue"),
                (mean("prefill_seconds"), "prompt"),
            ],
            stacked=True,
        ),
        bars(
            "First token by VAR mode, p95",
            "The modes should not differ by more than a few percent; if they do, they get different traffic.",
            SECONDS,
            [(quantile(0.95, "time_to_first_token_seconds", by="var", over=increase), "p95")],
            "var",
            width=8,
        ),
    ]


def _engine() -> list:
    return [
        timeline(
            "Running and waiting",
            "Waiting above zero for long: at capacity. "
            "Mostly preparing: pictures and prompts are the bottleneck, not the model.",
            COUNT,
            [
                (f"sum({series('requests_running')})", "running"),
                (f"sum({series('requests_waiting')})", "waiting"),
                (f"sum({series('requests_preparing')})", "of these preparing"),
            ],
        ),
        timeline(
            "Batch",
            "Sequences that decode a token in one step, mean. The larger, the more tokens a second.",
            COUNT,
            [(mean("batch_size"), "sequences")],
        ),
        timeline("Step", "How long one pass through the model takes.", SECONDS, quantiles("engine_step_seconds")),
        timeline(
            "KV cache in use",
            "Share of KV blocks that running requests hold. "
            "Near 100 % requests wait for memory and no prefix stays cached.",
            RATIO,
            [(series("kv_cache_usage_ratio"), "{{instance}}")],
        ),
        timeline(
            "Prompt tokens cached",
            "Share of prompt tokens found in the prefix cache.",
            RATIO,
            [(f"{rate('prefix_cache_hits_total')} / {rate('prefix_cache_queries_total')}", "cached")],
        ),
        timeline(
            "Tokens",
            "Prompt tokens count when a request ends; visual ones are part of them.",
            TOKENS_PER_SECOND,
            [
                (rate("generated_tokens_total"), "generated"),
                (rate("prompt_tokens_total"), "prompt"),
                (rate("visual_tokens_total"), "visual"),
            ],
        ),
    ]


def _faults() -> list:
    def count(name: str) -> str:
        return f"sum by (instance) (increase({series(name)}[$__rate_interval]))"

    return [
        timeline(
            "Corrupted results",
            "Requests whose logits were not finite: broken weights, hardware, or a picture the model cannot take.",
            COUNT,
            [(count("corrupted_requests_total"), "{{instance}}")],
        ),
        timeline(
            "Failed steps",
            "Steps of the engine that failed as a whole, mostly for lack of memory.",
            COUNT,
            [(count("engine_failed_steps_total"), "{{instance}}")],
        ),
        timeline(
            "Stuck or failing",
            "1 while there is work and no step ends, or while every step fails. Such a replica is restarted.",
            COUNT,
            [(series("engine_stuck"), "stuck {{instance}}"), (series("engine_failing"), "failing {{instance}}")],
        ),
        timeline(
            "Log lines dropped",
            "Lines that nobody read from standard error in time.",
            COUNT,
            [(count("log_lines_dropped_total"), "{{instance}}")],
        ),
    ]
