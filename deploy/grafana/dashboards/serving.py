"""VARServe: serving. Traffic, latency and the engine's work."""

from grafana_foundation_sdk.builders import dashboard

from dashboards.panels import (
    BYTES,
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
            "Overview": _figures(),
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
            "Replicas that accept requests. Fewer than you run: some are loading, draining or stuck.",
            COUNT,
            f"sum({series('ready')})",
        ),
        figure(
            "Requests",
            "Calls that ended, with any status; each setting of a Compare counts.",
            COUNT,
            increase("requests_total"),
        ),
        figure(
            "Errors",
            "Share of calls that ended with INTERNAL, UNKNOWN, UNAVAILABLE or DEADLINE_EXCEEDED. "
            "Callers' mistakes do not count.",
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
            "One token in twenty takes longer to follow the previous one. People read about ten tokens per second.",
            SECONDS,
            quantile(0.95, "inter_token_latency_seconds", over=increase),
            bad_from=0.2,
        ),
        figure(
            "Prompt tokens cached",
            "Share of prompt tokens that were not computed again. "
            "High when callers ask several questions about one picture.",
            RATIO,
            f"{increase('prefix_cache_hits_total')} / {increase('prefix_cache_queries_total')}",
        ),
    ]


def _traffic() -> list:
    return [
        timeline(
            "Requests by status",
            "Final status of calls. RESOURCE_EXHAUSTED: the queue is full, add replicas. "
            "UNAVAILABLE: replicas are starting or draining.",
            REQUESTS,
            [(rate("requests_total", by="code") + " > 0", "{{code}}")],
            stacked=True,
        ),
        timeline(
            "Requests by VAR mode",
            "Requests with VAR on, only observing, or off.",
            REQUESTS,
            [(rate("requests_total", 'code="OK"', by="var"), "{{var}}")],
            stacked=True,
        ),
        timeline(
            "How answers end",
            "stop: the model ended the answer. "
            "length: max_tokens was reached; if this is most of them, callers get cut-off answers.",
            REQUESTS,
            [
                (
                    rate("requests_total", 'code="OK"', 'method!~"GetModel|ListModels"', by="finish_reason"),
                    "{{finish_reason}}",
                )
            ],
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
            "Grows with the batch, and jumps when long prompts are computed in between.",
            SECONDS,
            quantiles("inter_token_latency_seconds"),
        ),
        timeline(
            "Queue",
            "Waiting for a worker to build the prompt, then for a place in the batch. "
            "Above zero for long: one of them is at capacity.",
            SECONDS,
            [*quantiles("queue_time_seconds"), (f"max({series('oldest_waiting_seconds')})", "oldest now")],
        ),
        timeline(
            "Whole request",
            "Successful calls, from arrival to end. Depends on the length of answers.",
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
            "The modes should not differ by more than a few percent; if they do, their traffic differs.",
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
            "Mostly preparing: the bottleneck is pictures and prompts, not the model.",
            COUNT,
            [
                (f"sum({series('requests_running')})", "running"),
                (f"sum({series('siblings_running')})", "siblings of running contrasts"),
                (f"sum({series('requests_waiting')})", "waiting"),
                (f"sum({series('requests_preparing')})", "of these preparing"),
            ],
        ),
        timeline(
            "Batch",
            "Mean number of sequences that decode a token in one step. The larger, the more tokens per second.",
            COUNT,
            [(mean("batch_size"), "sequences")],
        ),
        timeline("Step", "Duration of one pass through the model.", SECONDS, quantiles("engine_step_seconds")),
        timeline(
            "KV cache in use",
            "Share of KV blocks that running requests hold. "
            "Near 100 %, requests wait for memory and no prefix stays cached.",
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
            "Pictures named instead of sent",
            "Share of the pictures named by their digest that the server still had. "
            "Low when callers come back after --image_cache has no more room for them.",
            RATIO,
            [(f"{rate('image_cache_hits_total')} / {rate('image_cache_queries_total')}", "found")],
        ),
        timeline(
            "Pictures kept",
            "Processed pictures that callers can name, at most --image_cache.",
            BYTES,
            [(series("image_cache_bytes"), "{{instance}}")],
        ),
        timeline(
            "Tokens",
            "Prompt tokens are counted when a request ends and include visual tokens.",
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
            "Requests whose logits were not finite: corrupt weights, faulty hardware, "
            "or a picture that the model cannot handle.",
            COUNT,
            [(count("corrupted_requests_total"), "{{instance}}")],
        ),
        timeline(
            "Failed steps",
            "Engine steps that failed as a whole, usually because memory ran out.",
            COUNT,
            [(count("engine_failed_steps_total"), "{{instance}}")],
        ),
        timeline(
            "Stuck or failing",
            "1 while there is work but no step ends, or while every step fails. Such a replica is restarted.",
            COUNT,
            [(series("engine_stuck"), "stuck {{instance}}"), (series("engine_failing"), "failing {{instance}}")],
        ),
        timeline(
            "Log lines dropped",
            "Lines that were not read from standard error in time.",
            COUNT,
            [(count("log_lines_dropped_total"), "{{instance}}")],
        ),
    ]
