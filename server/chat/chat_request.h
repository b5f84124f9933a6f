// The four streaming requests of the API in one shape: a conversation, its pictures, options, and the
// settings of interventions to run it under.
#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/digest.h"
#include "server/text/message.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::chat {

struct ChatRequest {
  std::shared_ptr<const void> source;  // the request, if this has to keep it
  struct Picture {
    std::string field;         // its name in the request, for messages
    const std::string* bytes;  // encoded; belongs to the request. Null: the url or the digest names them
    Digest digest{};
    std::string url{};  // where they have yet to be fetched, see url_images.h
  };
  // The options of one method; they belong to the request.
  struct Method {
    std::string field;                                   // the options' name in the request, for messages
    const google::protobuf::Message* options = nullptr;  // null: no method
  };
  struct Setting {
    Method attention;
    Method contrast;
  };
  std::vector<text::Message> messages;
  std::vector<Picture> pictures;       // of the ImageParts, in order
  const v1::GenerateOptions* options;  // belongs to the request
  std::vector<Setting> settings;       // at least one
  // Whether each setting samples with a seed of its own: several answers to one question.
  bool seed_per_setting = false;
  // Names of the options, the conversation and its images in messages. No options_field: their fields are the
  // request's own.
  std::string options_field = "options";
  std::string text_field;
  std::string images_field;
};

// Each checks what can be checked without the model. INVALID_ARGUMENT beginning with the field's name. The
// request must outlive the result.
absl::StatusOr<ChatRequest> ReadChat(const v1::AnswerRequest& request);
absl::StatusOr<ChatRequest> ReadChat(const v1::CaptionRequest& request);
absl::StatusOr<ChatRequest> ReadChat(const v1::GenerateRequest& request);
absl::StatusOr<ChatRequest> ReadChat(const v1::CompareRequest& request);

// The methods that an intervention holds; `field`: its name in the request, for messages. INVALID_ARGUMENT if
// it holds none. The intervention must outlive the result.
absl::StatusOr<ChatRequest::Setting> MethodsOf(absl::string_view field, const v1::Intervention& intervention);

// An error of image/ or text/ about `messages` or `images`, with the names these have in the request.
absl::Status InRequest(const ChatRequest& chat, const absl::Status& status);

inline constexpr int kMaxSettings = 8;  // of a Compare

}  // namespace varserve::chat
