// An intervention on rows of one request as a transport sees it.
#pragma once

#include <memory>

#include "server/interventions/attention/row_intervention.h"
#include "server/interventions/setting/setting.h"
#include "varserve/v1/intervention.pb.h"

namespace varserve::interventions {

// `effective`: the method's options, with every field set.
std::shared_ptr<const Setting> MakeAttentionSetting(const RowSetting& setting, v1::VarDetail detail,
                                                    v1::Intervention effective);

}  // namespace varserve::interventions
