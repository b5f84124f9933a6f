// The methods of one setting of a request, checked and with every value. Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/chat/chat_request.h"
#include "server/interventions/contrast/contrast_setting.h"
#include "server/interventions/setting/setting.h"
#include "server/interventions/table/table.h"

namespace varserve::chat {

struct MethodSettings {
  std::shared_ptr<const interventions::Setting> attention;
  std::shared_ptr<const interventions::ContrastSetting> contrast;  // null: none
  std::string contrast_field;                                      // its name in the request, for messages
};

// INVALID_ARGUMENT beginning with the field's name, also if there are two contrasts, or FAILED_PRECONDITION
// if the model does not have a method.
absl::StatusOr<MethodSettings> ReadMethods(const ChatRequest::Setting& setting,
                                           const interventions::Defaults& defaults);

}  // namespace varserve::chat
