// Where an agent's configuration comes from: a file (standalone) or the controller's stream. Both
// hand over whole, validated configurations, and whoever takes one answers whether it is in force.
//
//   auto source = control::MakeFileSource(path);      // or MakeStreamSource(options, clock)
//   const Status started = source->Start([&](ConfigPtr config) { return engine.Apply(config); });
//   ...
//   source->Stop();
//
// Thread rule: Start, Stop, Reload and the destructor belong to the owner's thread. OnConfig runs
// on one thread at a time, never after Stop() has returned, and must not call Stop().
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "controller/base/status.h"
#include "datapath/control/config.h"

namespace sluice::control {

class Source {
 public:
  // OK: the configuration is in force (the ack). Anything else: it changed nothing, and the message
  // tells why (the nack); it travels to the controller, so it holds no secret.
  using OnConfig = std::function<base::Status(ConfigPtr)>;

  virtual ~Source() = default;  // stops

  // Delivers what is there already before it returns: the file, or the last good configuration of
  // an earlier run. Errors: InvalidArgument (file, option or endpoint that can never work; exit
  // code 2); what OnConfig answered for a file. No controller and no last good configuration is not
  // an error: the stream goes on trying.
  virtual base::Status Start(OnConfig on_config) = 0;

  // Reads the file again (SIGHUP). An error leaves the former configuration in force.
  virtual base::Status Reload() = 0;

  // Ends every thread and connection; returns when OnConfig cannot run any more. Idempotent.
  virtual void Stop() = 0;
};

// YAML as in docs/examples/agent-standalone.yaml. Its order is (lineage "file", epoch 0, revision
// counting loads), its version the hash of the text.
std::unique_ptr<Source> MakeFileSource(std::string path);

}  // namespace sluice::control
