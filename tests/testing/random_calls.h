// Calls of all kinds at random: valid and not, read to the end, hung up on, late. Thread-compatible.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/inference_client.h"

namespace varserve::testing {

class RandomCaller {
 public:
  // The pictures can be decoded. `max_tokens`: of valid requests.
  RandomCaller(std::unique_ptr<client::InferenceClient> client, std::vector<std::string> pictures,
               uint32_t max_tokens, uint64_t seed);

  // Makes one call and checks that it ended as it may.
  void Call();

  // How the calls so far ended.
  const std::map<absl::StatusCode, int>& ends() const { return ends_; }

 private:
  int Pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  bool Chance(int one_in) { return Pick(1, one_in) == 1; }
  v1::Image Picture();
  void SetOptions(v1::GenerateOptions& options);
  void SetVar(v1::VarOptions& var);
  v1::GenerateRequest Conversation();
  absl::Status Valid(const client::CallOptions& options, int most_responses);
  absl::Status Invalid(const client::CallOptions& options);

  const std::unique_ptr<client::InferenceClient> client_;
  const std::vector<std::string> pictures_;
  const uint32_t max_tokens_;
  std::mt19937_64 random_;
  std::map<absl::StatusCode, int> ends_;
};

// Callers on threads of their own, each with a connection of its own, for so long. Returns how their calls
// ended.
std::map<absl::StatusCode, int> CallAtRandom(const std::string& address,
                                             const std::vector<std::string>& pictures, uint32_t max_tokens,
                                             int callers, absl::Duration duration, uint64_t seed);

// "1234 OK, 56 CANCELLED"
std::string ToText(const std::map<absl::StatusCode, int>& ends);

}  // namespace varserve::testing
