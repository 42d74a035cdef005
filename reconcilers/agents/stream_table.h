// Internal to this folder: all streams of this replica. Any thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "reconcilers/agents/ca.h"

namespace sluice::agents {

class AgentStream;

class StreamTable {
 public:
  // A stream that has not said Hello yet: All() alone shows it.
  void Await(const std::shared_ptr<AgentStream>& stream);
  // It said Hello. Returns the streams of the same node that have to go.
  std::vector<std::shared_ptr<AgentStream>> Add(const std::shared_ptr<AgentStream>& stream);
  // True when the node has no other stream.
  bool Remove(const AgentStream& stream);
  std::vector<std::shared_ptr<AgentStream>> OfSite(const std::string& site) const;
  std::vector<std::shared_ptr<AgentStream>> OfNode(const AgentIdentity& identity) const;
  std::vector<std::shared_ptr<AgentStream>> All() const;

 private:
  mutable std::mutex mutex_;
  std::map<const AgentStream*, std::shared_ptr<AgentStream>> strangers_;
  // site -> node -> streams, oldest first
  std::map<std::string, std::map<std::string, std::vector<std::shared_ptr<AgentStream>>>> sites_;
};

}  // namespace sluice::agents
