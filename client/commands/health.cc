#include "client/commands/health.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/cli/text_layout.h"

namespace varserve::cli {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(5);

}  // namespace

HealthCommand::HealthCommand(CLI::App& program)
    : Command(program, "health", "Check that the server is alive and ready for requests; exit code 0 or 1") {
  app()
      .add_option(
          "--service", service_,
          "What to check: \"\" that the process is alive, varserve.v1.VisionLanguage that it is ready. "
          "Default: the latter")
      ->type_name("NAME");
  AddConnectionFlags(kTimeout);
}

absl::Status HealthCommand::Prepare() {
  if (service_.has_value() && !IsUtf8(*service_))
    return absl::InvalidArgumentError("--service: is not UTF-8");
  return absl::OkStatus();
}

absl::Status HealthCommand::Run(client::InferenceClient& client, const client::CallOptions& options,
                                Console& console) {
  const std::string service = service_.value_or(client::InferenceClient::kService);
  const auto health = client.CheckHealth(service, options);
  if (!health.ok()) return health.status();
  std::string status = grpc::health::v1::HealthCheckResponse::ServingStatus_Name(health->status());
  if (status.empty()) status = absl::StrCat("status ", static_cast<int>(health->status()));
  if (output().json) {
    console.out << nlohmann::json{{"service", service}, {"status", status}} << "\n";
  } else {
    console.out << (service.empty() ? "process" : service) << ": " << status << "\n";
  }
  if (health->status() == grpc::health::v1::HealthCheckResponse::SERVING) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("the server says ", status));
}

}  // namespace varserve::cli
