// What distinguishes pictures for a load balancer. Thread-safe.
#pragma once

#include <string>

#include "varserve/v1/inference.pb.h"

namespace varserve::client {

// Hex SHA-256 over the request's encoded images, one after the other; empty if there are none, or if the
// bytes of one of several are not known because the request only names it. Sent as `x-image-digest`, so that
// a proxy can send all questions about a picture to the replica that holds its prefix.
std::string ImageDigest(const v1::AnswerRequest& request);
std::string ImageDigest(const v1::CaptionRequest& request);
std::string ImageDigest(const v1::GenerateRequest& request);
std::string ImageDigest(const v1::CompareRequest& request);

}  // namespace varserve::client
