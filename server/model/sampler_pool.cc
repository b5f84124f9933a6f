#include "server/model/sampler_pool.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <utility>

#include "server/interventions/contrast/combine.h"

namespace varserve::model {

void SamplerPool::Run(absl::Span<const Job> jobs) {
  if (jobs.empty()) return;
  workers_.resize(std::max<size_t>(workers_.size(), at::get_num_threads()));
  at::parallel_for(0, static_cast<int64_t>(jobs.size()), 1, [&](int64_t begin, int64_t end) {
    Worker& worker = workers_[at::get_thread_num()];
    for (int64_t i = begin; i < end; ++i) Choose(jobs[i], worker);
  });
}

void SamplerPool::Choose(const Job& job, Worker& worker) {
  const engine::SequenceStep& step = *job.step;
  const engine::GenerationRequest& request = *step.request;
  if (job.leading != nullptr) {
    job.result->token =
        worker.sampler.Sample(*job.leading, job.vocabulary, request.sampling, step.generated.size());
    return;
  }
  absl::Span<const float> logits = job.logits;
  interventions::ContrastEvidence evidence;
  if (request.contrast != nullptr) {
    const int count = static_cast<int>(step.generated.size()) + 1;
    evidence =
        interventions::CombineLogits(request.contrast->rule, count, logits, job.sibling, worker.combined);
    logits = worker.combined;
  }
  engine::Token token =
      worker.sampler.Sample(logits, request.sampling, request.prompt->token_ids, step.generated);
  token.contrast = evidence;
  job.result->token = std::move(token);
}

}  // namespace varserve::model
