// A request of one text.
#pragma once

#include <cstdint>
#include <string>

#include "varserve/v1/inference.pb.h"

namespace varserve::rpc {

// Its answer has `max_tokens` tokens, whatever the model says.
inline v1::GenerateRequest Chat(const std::string& text, uint32_t max_tokens) {
  v1::GenerateRequest request;
  v1::Message* message = request.add_messages();
  message->set_role(v1::ROLE_USER);
  message->add_parts()->set_text(text);
  request.mutable_options()->set_max_tokens(max_tokens);
  request.mutable_options()->set_ignore_eos(true);
  return request;
}

}  // namespace varserve::rpc
