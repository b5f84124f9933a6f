// Suppresses the heads of a row that look at the picture least, after the attention kernel: it computes the
// heads of one KV head at a time, and the ranking needs all.
#pragma once

#include "server/backend/cpu/cpu_kernels.h"

namespace varserve::backend::cpu {

// For each row that is changed like that in args.layer: scales the outputs of its suppressed heads and fills
// its sums. REQUIRES: the attention kernel has computed all pieces, and filled args.looks. Thread-safe for
// args with outputs of their own.
void SuppressHeads(const AttentionArgs& args);

}  // namespace varserve::backend::cpu
