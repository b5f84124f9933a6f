// A conversation as a caller sends it. Plain data.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace varserve::text {

enum class Role : uint8_t { kSystem, kUser, kAssistant };

// The next image of the request: images appear in the conversation in the order they are given in.
struct ImagePart {};

using Part = std::variant<std::string, ImagePart>;

struct Message {
  Role role = Role::kUser;
  std::vector<Part> parts;
};

}  // namespace varserve::text
