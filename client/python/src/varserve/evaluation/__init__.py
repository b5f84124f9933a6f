"""varserve-eval: what VAR does to answers, measured on benchmarks."""
