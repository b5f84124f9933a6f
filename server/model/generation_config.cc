#include "server/model/generation_config.h"

#include "absl/strings/str_cat.h"
#include "server/base/json_fields.h"

namespace varserve::model {
namespace {

using nlohmann::json;

constexpr char kEos[] = "eos_token_id";

// Settings that change what a greedy answer is, each with the value that does not.
struct Setting {
  const char* key;
  json neutral;
};
const std::vector<Setting>& GreedySettings() {
  static const std::vector<Setting> settings = {{"repetition_penalty", 1.0},
                                                {"encoder_repetition_penalty", 1.0},
                                                {"no_repeat_ngram_size", 0},
                                                {"encoder_no_repeat_ngram_size", 0},
                                                {"min_length", 0},
                                                {"min_new_tokens", 0},
                                                {"num_beams", 1},
                                                {"num_return_sequences", 1},
                                                {"guidance_scale", 1.0},
                                                {"token_healing", false},
                                                {"bad_words_ids", nullptr},
                                                {"suppress_tokens", nullptr},
                                                {"begin_suppress_tokens", nullptr},
                                                {"forced_eos_token_id", nullptr},
                                                {"exponential_decay_length_penalty", nullptr},
                                                {"sequence_bias", nullptr},
                                                {"watermarking_config", nullptr},
                                                {"stop_strings", nullptr},
                                                {"force_words_ids", nullptr},
                                                {"constraints", nullptr},
                                                {"dola_layers", nullptr},
                                                {"penalty_alpha", nullptr}};
  return settings;
}

void RefuseGreedySettings(JsonFields& fields) {
  for (const Setting& setting : GreedySettings()) fields.Neutral(setting.key, setting.neutral);
}

}  // namespace

absl::StatusOr<std::vector<int32_t>> ReadEosTokens(const json& config, const json* generation,
                                                   int vocab_size) {
  JsonFields file = generation != nullptr
                        ? JsonFields(*generation, "generation_config.json", JsonFields::Null::kAbsent)
                        : JsonFields(config, "config.json", JsonFields::Null::kAbsent);
  JsonFields text = file.Object("text_config");  // empty in generation_config.json
  RefuseGreedySettings(file);
  RefuseGreedySettings(text);

  std::vector<int32_t> tokens;
  for (const int64_t id : file.Ints(kEos, text.Ints(kEos, {}))) {
    if (id >= 0 && id < vocab_size) tokens.push_back(static_cast<int32_t>(id));  // no other is ever generated
  }
  if (tokens.empty()) {
    file.Fail(kEos,
              absl::StrCat("names no token of the vocabulary, so that nothing would end an answer; give "
                           "the token that does",
                           generation == nullptr ? " in a generation_config.json" : ""));
  }
  if (!file.status().ok()) return file.status();
  return tokens;
}

}  // namespace varserve::model
