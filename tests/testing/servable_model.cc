#include "tests/testing/servable_model.h"

#include <filesystem>
#include <fstream>
#include <map>

namespace varserve::testing {
namespace {

using nlohmann::json;

constexpr int kImageToken = 159;  // of the tiny models (tests/golden)
constexpr char kTemplate[] = R"({%- for message in messages -%}
    {%- for part in message['content'] if part['type'] == 'image' -%}<image>{%- endfor -%}
    {{- '<|im_start|>' + message['role'] + '\n' -}}
    {%- for part in message['content'] if part['type'] == 'text' -%}{{ part['text'] }}{%- endfor -%}
    {{- '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif -%})";

// How byte-level tokenizers write a byte: printable ones as they are, the others as U+0100 and on, in order.
std::map<int, std::string> ByteNames() {
  std::map<int, std::string> names;
  int others = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
    const int code = printable ? byte : 0x100 + others++;
    names[byte] = code < 0x80 ? std::string(1, static_cast<char>(code))
                              : std::string{static_cast<char>(0xc0 | code >> 6),
                                            static_cast<char>(0x80 | (code & 0x3f))};
  }
  return names;
}

// Ids 0 to 2 are special, then come newline, space and the printable ASCII characters, then bytes of longer
// characters as far as there are ids.
json Tokenizer() {
  const std::map<int, std::string> names = ByteNames();
  json vocabulary = json::object();
  int id = 3;
  vocabulary[names.at('\n')] = id++;
  for (int byte = ' '; byte <= '~'; ++byte) vocabulary[names.at(byte)] = id++;
  for (int byte = 0x80; id < kImageToken; ++byte) vocabulary[names.at(byte)] = id++;
  json special = json::array();
  const std::map<int, std::string> special_tokens = {
      {0, "<|endoftext|>"}, {1, "<|im_start|>"}, {2, "<|im_end|>"}, {kImageToken, "<image>"}};
  for (const auto& [token, content] : special_tokens) {
    special.push_back({{"id", token},
                       {"content", content},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", true}});
  }
  const json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", special},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level},
          {"post_processor", nullptr},
          {"decoder", byte_level},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"vocab", vocabulary},
            {"merges", json::array()}}}};
}

}  // namespace

ServableModel::ServableModel(const std::string& name) : tiny_(name) {
  const int side = tiny_.image_size().height;
  Write("tokenizer.json", Tokenizer().dump());
  Write("tokenizer_config.json", json({{"bos_token", "<|im_start|>"}, {"eos_token", "<|im_end|>"}}).dump());
  Write("chat_template.jinja", kTemplate);
  Write("generation_config.json", json({{"bos_token_id", 1}, {"eos_token_id", 2}}).dump());
  Write("preprocessor_config.json", json({{"image_processor_type", "CLIPImageProcessor"},
                                          {"size", {{"shortest_edge", side}}},
                                          {"crop_size", {{"height", side}, {"width", side}}}})
                                        .dump());
}

void ServableModel::Write(const std::string& file, const std::string& content) const {
  std::ofstream(dir() + "/" + file, std::ios::binary) << content;
}

void ServableModel::Remove(const std::string& file) const { std::filesystem::remove(dir() + "/" + file); }

json ServableModel::ReadJson(const std::string& file) const {
  return json::parse(std::ifstream(dir() + "/" + file));
}

}  // namespace varserve::testing
