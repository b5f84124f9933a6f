#include "client/explain/report_page.h"

#include "absl/strings/str_replace.h"
#include "client/explain/report_files.h"

namespace varserve::client {
namespace {

// JSON that never contains "</script" or "<!--". Text that is not UTF-8 gets replacement characters.
std::string ScriptSafe(const nlohmann::json& data) {
  const std::string json = data.dump(/*indent=*/-1, /*indent_char=*/' ', /*ensure_ascii=*/false,
                                     nlohmann::json::error_handler_t::replace);
  return absl::StrReplaceAll(json, {{"<", "\\u003c"}});
}

}  // namespace

std::string ReportPage(const nlohmann::json& data) {
  // All at once: what is filled in is not searched again.
  return absl::StrReplaceAll(
      kReportHtml, {{"{{style}}", kReportCss}, {"{{data}}", ScriptSafe(data)}, {"{{script}}", kReportJs}});
}

}  // namespace varserve::client
