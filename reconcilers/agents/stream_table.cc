#include "reconcilers/agents/stream_table.h"

#include "reconcilers/agents/agent_stream.h"
#include "reconcilers/agents/limits.h"

namespace sluice::agents {

void StreamTable::Await(const std::shared_ptr<AgentStream>& stream) {
  const std::lock_guard lock(mutex_);
  strangers_.emplace(stream.get(), stream);
}

std::vector<std::shared_ptr<AgentStream>> StreamTable::Add(
    const std::shared_ptr<AgentStream>& stream) {
  const std::lock_guard lock(mutex_);
  strangers_.erase(stream.get());
  auto& streams = sites_[stream->identity().site][stream->identity().node];
  streams.push_back(stream);
  std::vector<std::shared_ptr<AgentStream>> surplus;
  while (streams.size() > kMaxStreamsPerNode) {
    surplus.push_back(streams.front());
    streams.erase(streams.begin());
  }
  return surplus;
}

bool StreamTable::Remove(const AgentStream& stream) {
  const std::lock_guard lock(mutex_);
  strangers_.erase(&stream);
  const auto site = sites_.find(stream.identity().site);
  if (site == sites_.end()) return true;
  const auto node = site->second.find(stream.identity().node);
  if (node == site->second.end()) return true;
  std::erase_if(node->second, [&](const auto& other) { return other.get() == &stream; });
  if (!node->second.empty()) return false;
  site->second.erase(node);
  if (site->second.empty()) sites_.erase(site);
  return true;
}

std::vector<std::shared_ptr<AgentStream>> StreamTable::OfSite(const std::string& site) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<AgentStream>> out;
  const auto found = sites_.find(site);
  if (found == sites_.end()) return out;
  for (const auto& [node, streams] : found->second) {
    out.insert(out.end(), streams.begin(), streams.end());
  }
  return out;
}

std::vector<std::shared_ptr<AgentStream>> StreamTable::OfNode(const AgentIdentity& identity) const {
  const std::lock_guard lock(mutex_);
  const auto site = sites_.find(identity.site);
  if (site == sites_.end()) return {};
  const auto node = site->second.find(identity.node);
  if (node == site->second.end()) return {};
  return node->second;
}

std::vector<std::shared_ptr<AgentStream>> StreamTable::All() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<AgentStream>> out;
  for (const auto& [site, nodes] : sites_) {
    for (const auto& [node, streams] : nodes) out.insert(out.end(), streams.begin(), streams.end());
  }
  for (const auto& [key, stream] : strangers_) out.push_back(stream);
  return out;
}

}  // namespace sluice::agents
