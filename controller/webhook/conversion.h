// Objects of a CustomResourceDefinition between its versions: ConversionReview of
// apiextensions.k8s.io/v1.
//
// A converter changes one object in place; apiVersion is set and metadata is kept by this library
// (the API server refuses changes there, labels and annotations apart, and so do we, by name).
// Pure. Thread rule: values.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "controller/base/status.h"

namespace sluice::webhook {

// `object` is of another version than `api_version` ("widgets.example.com/v1") and becomes one of
// it. An error is told to whoever asked for the object. Called from several threads.
using Converter =
    std::function<base::Status(nlohmann::json& object, const std::string& api_version)>;

// The ConversionReview to answer with; a failed conversion is an answer, too (status Failure).
// Errors: InvalidArgument: the body is no such review.
base::StatusOr<std::string> ConvertReview(std::string_view review, const Converter& converter);

}  // namespace sluice::webhook
