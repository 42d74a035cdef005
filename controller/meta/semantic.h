// Whether an object already says what is wanted, for not writing what is already so. Null, absent
// and [] are taken for one another, as Kubernetes' semantic equality does; an object {} is
// something (emptyDir: {}). Numbers compare by value. Pure; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string_view>

namespace sluice::meta {

// Whether `live` already has every field of `wanted` with its value: objects by subset, lists whole
// and in order, except that list elements which are objects with the same "name", "key", "type" or
// "containerPort" (or, where none of these fits, one of `list_keys`) may hold more than is wanted
// and stand among others. Fields that an earlier `wanted` had and this one has not are not noticed:
// whoever drops fields must compare with what it applied last, too.
bool Contains(const nlohmann::json& live, const nlohmann::json& wanted,
              std::span<const std::string_view> list_keys = {});

}  // namespace sluice::meta
