// Runs a backend's attention on a random world (cpu/attention_world.h).
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "server/backend/attention.h"
#include "tests/unit/backend/cpu/attention_world.h"

namespace varserve::backend {

using cpu::AttentionShape;
using cpu::AttentionWorld;
using cpu::StorageType;

inline constexpr int kLayer = 2;
inline constexpr int kLayers = 4;

struct Output {
  at::Tensor out;   // [R, H, D]
  at::Tensor sums;  // [R, 4] of kLayer
  at::Tensor maps;  // [R, 2, S]
};

inline at::Tensor AsTensor(const cpu::Stored& stored, at::IntArrayRef shape) {
  const auto dtype = stored.type == StorageType::kFloat32    ? at::kFloat
                     : stored.type == StorageType::kBFloat16 ? at::kBFloat16
                                                             : at::kHalf;
  return at::from_blob(const_cast<uint8_t*>(stored.bytes.data()), shape, at::TensorOptions().dtype(dtype))
      .clone();
}

// Computes on `device`; anywhere but on the CPU, queries have the type of the pool. => the results on the CPU
inline Output Attend(const Attention& backend, const AttentionWorld& world, at::Device device = at::kCPU) {
  RowBatch batch;
  batch.rows = world.rows;
  for (const AttentionWorld::Sequence& s : world.sequences) {
    batch.sequences.push_back({s.blocks, s.is_visual, s.empty_begin, s.empty_end, 0});
  }
  for (const AttentionRow& row : world.rows) ++batch.sequences[row.sequence].num_rows;
  batch.map_flags.assign(kLayers, std::vector<uint8_t>(world.rows.size(), 0));
  std::fill(batch.map_flags[kLayer].begin(), batch.map_flags[kLayer].end(), 1);

  const AttentionShape& s = world.shape;
  const int64_t blocks = world.num_slots / AttentionWorld::kBlockSize;
  const std::vector<int64_t> pool = {blocks, s.kv_heads, AttentionWorld::kBlockSize, s.head_dim};
  const KvLayer kv{AsTensor(world.k_pool, pool).to(device), AsTensor(world.v_pool, pool).to(device),
                   at::tensor(world.phi).view({2, -1}).to(device)};
  at::Tensor q = at::tensor(world.q).view({batch.num_rows(), s.heads, s.head_dim});
  if (!device.is_cpu()) q = q.to(device, kv.k.scalar_type());
  StepMemory memory(device, /*fixed=*/false);
  const auto prepared = backend.Prepare(batch, AttentionWorld::kBlockSize, memory);
  memory.Send();
  RowEvidence evidence(batch, kLayers, backend.evidence_groups(s.kv_heads), memory);
  evidence.Clear();
  Output output;
  output.out = at::empty_like(q);
  backend.AttendRows(*prepared, kLayer, q, kv, output.out, evidence);
  at::Tensor sums = memory.Take({kLayers, batch.num_rows(), interventions::kRowSums}, at::kFloat);
  output.maps = memory.Take({batch.num_maps(), 2, batch.max_slots()}, at::kFloat);
  evidence.Reduce(sums, output.maps);
  output.out = output.out.to(at::kCPU, at::kFloat);
  output.sums = sums[kLayer].cpu();
  output.maps = output.maps.cpu();
  return output;
}

inline AttentionWorld RandomWorld(const AttentionShape& shape, std::mt19937& random, int num_sequences = 4,
                                  int num_rows = 12) {
  AttentionWorld world(shape, random, num_sequences, num_rows);
  std::stable_sort(world.rows.begin(), world.rows.end(),
                   [](const AttentionRow& a, const AttentionRow& b) { return a.sequence < b.sequence; });
  for (size_t r = 0; r < world.rows.size(); ++r) world.rows[r].map = static_cast<int32_t>(r);
  return world;
}

}  // namespace varserve::backend
