#include "client/commands/model.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/message_fields.h"
#include "client/cli/text_layout.h"

namespace varserve::cli {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(10);

std::string FormatVarProfile(const v1::Model& model) {
  if (!model.has_var_profile()) return "none: VAR can only be off";
  const v1::VarProfile& profile = model.var_profile();
  return absl::StrFormat("sink dimensions %s, tau %g (%ssource: %s)",
                         absl::StrJoin(profile.sink_dimensions(), ", "), profile.tau(),
                         profile.decoder().empty() ? "" : absl::StrCat(profile.decoder(), "; "),
                         profile.source());
}

std::string FormatInterventions(const v1::Model& model) {
  std::vector<std::string> names;
  for (const v1::Intervention& intervention : model.interventions()) {
    std::vector<const google::protobuf::FieldDescriptor*> methods;
    intervention.GetReflection()->ListFields(intervention, &methods);
    for (const google::protobuf::FieldDescriptor* method : methods) names.push_back(method->name());
  }
  return names.empty() ? "none" : absl::StrJoin(names, ", ");
}

// Where images differ in size, what the model says of them is of the largest: they keep their shape, or are
// seen in tiles and as a thumbnail.
bool HasLargestImage(const v1::Model::VisionTower& tower) {
  return absl::StartsWith(tower.kind(), "qwen") || tower.visual_tokens() > tower.rows() * tower.columns() + 1;
}

std::string FormatVisualTokens(const v1::Model::VisionTower& tower) {
  const uint32_t cells = tower.rows() * tower.columns();
  return absl::StrCat(
      tower.rows(), " x ", tower.columns(),
      cells == tower.visual_tokens() ? "" : absl::StrCat(" + ", tower.visual_tokens() - cells), " = ",
      tower.visual_tokens(), " visual tokens per image", HasLargestImage(tower) ? " at most" : "");
}

std::string FormatModel(const v1::Model& model) {
  const v1::Model::Decoder& decoder = model.decoder();
  const v1::Model::VisionTower& tower = model.vision_tower();
  const v1::Model::Limits& limits = model.limits();
  const std::vector<std::pair<std::string, std::string>> lines = {
      {"model", model.name()},
      {"server",
       absl::StrCat(model.server_version(), ", ", model.device(), ", ", model.dtype(),
                    model.quantization().empty() ? "" : absl::StrCat(", weights in ", model.quantization()))},
      {"CPU kernels", model.instruction_set()},
      {"decoder", absl::StrFormat("%d layers, width %d, %d heads, %d KV heads, head size %d, vocabulary %d",
                                  decoder.layers(), decoder.width(), decoder.heads(), decoder.kv_heads(),
                                  decoder.head_dim(), decoder.vocabulary())},
      {"context", absl::StrCat(decoder.context(), " tokens")},
      {"vision tower", absl::StrFormat("%s, %d x %d pixels, %s", tower.kind(), tower.image_width(),
                                       tower.image_height(), FormatVisualTokens(tower))},
      {"limits",
       absl::StrFormat(
           "%d images, %d bytes and %d pixels each, %d bytes per request, %d settings per comparison",
           limits.max_images(), limits.max_image_bytes(), limits.max_image_pixels(),
           limits.max_message_bytes(), limits.max_settings())},
      {"VAR profile", FormatVarProfile(model)},
      {"VAR default", EnumName(model.default_var().mode())},
      {"interventions", FormatInterventions(model)},
  };
  std::string text;
  for (const auto& [name, value] : lines)
    absl::StrAppendFormat(&text, "%-13s %s\n", name, PrintableLine(value));
  return text;
}

}  // namespace

ModelCommand::ModelCommand(CLI::App& program)
    : Command(program, "model", "Show the server's model: dimensions, limits, VAR profile") {
  AddConnectionFlags(kTimeout);
}

absl::Status ModelCommand::Run(client::InferenceClient& client, const client::CallOptions& options,
                               Console& console) {
  const absl::StatusOr<v1::Model> model = client.GetModel(options);
  if (!model.ok()) return model.status();
  if (output().json) {
    console.JsonLine(*model);
  } else {
    console.out << FormatModel(*model);
  }
  return absl::OkStatus();
}

}  // namespace varserve::cli
