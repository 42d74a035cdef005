// Whether two objects say the same, for not writing what is already so. Pure; any thread.
//
// "The same" leaves out what the server keeps for itself (managedFields, resourceVersion,
// generation, uid, creationTimestamp, selfLink) and takes null, absent and [] for one another, as
// Kubernetes' semantic equality does; metadata.labels and annotations also take {} for absent. An
// object {} elsewhere is something (emptyDir: {}). Numbers compare by value.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::meta {

// Whole objects.
bool SemanticallyEqual(const nlohmann::json& a, const nlohmann::json& b);
// Any values, such as two statuses: the same rules without the ones about metadata.
bool SameValue(const nlohmann::json& a, const nlohmann::json& b);

// Whether `live` already has every field of `wanted` with its value: objects by subset, lists whole
// and in order, except that list elements which are objects with the same "name", "key", "type" or
// "containerPort" (or, where none of these fits, one of `list_keys`) may hold more than is wanted
// and stand among others. Fields that an earlier `wanted` had and this one has not are not noticed:
// whoever drops fields must compare with what it applied last, too.
bool Contains(const nlohmann::json& live, const nlohmann::json& wanted,
              std::span<const std::string_view> list_keys = {});

}  // namespace sluice::meta
