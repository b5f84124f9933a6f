#include "server/model/sampler_pool.h"

#include <ATen/Parallel.h>

#include <algorithm>

namespace varserve::model {

void SamplerPool::Run(absl::Span<const Job> jobs) {
  if (jobs.empty()) return;
  samplers_.resize(std::max<size_t>(samplers_.size(), at::get_num_threads()));
  at::parallel_for(0, static_cast<int64_t>(jobs.size()), 1, [&](int64_t begin, int64_t end) {
    Sampler& sampler = samplers_[at::get_thread_num()];
    for (int64_t i = begin; i < end; ++i) {
      const engine::SequenceStep& step = *jobs[i].step;
      jobs[i].result->token = sampler.Sample(jobs[i].logits, step.request->sampling,
                                             step.request->prompt->token_ids, step.generated);
    }
  });
}

}  // namespace varserve::model
