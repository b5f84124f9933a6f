// Converts a VarReport to the API's message.
#pragma once

#include "server/interventions/setting/setting.h"
#include "server/interventions/var/report.h"
#include "varserve/v1/var.pb.h"

namespace varserve::interventions {

// `effective`: the setting with every field set; its detail determines how much the message contains.
v1::VarReport ToProto(const VarReport& report, const v1::VarOptions& effective, const ReportContext& context);

}  // namespace varserve::interventions
