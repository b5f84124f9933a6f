// VarReport as the message of the API.
#pragma once

#include "server/interventions/setting/setting.h"
#include "server/interventions/var/report.h"
#include "varserve/v1/var.pb.h"

namespace varserve::interventions {

// `effective`: the setting's, every field set; its detail decides how much is in the message.
v1::VarReport ToProto(const VarReport& report, const v1::VarOptions& effective, const ReportContext& context);

}  // namespace varserve::interventions
