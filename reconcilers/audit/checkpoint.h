// A checkpoint: the log's head, signed, kept where the log is not (an object of the API server). It
// proves that the log had come that far, and it is where another replica goes on when the files of
// the last leader are out of its reach.
//
// It also names the last line that retention may have removed, with everything before it: whoever
// finds the log to begin after that line has the signature's word for what is gone, and nothing
// else may be.
//
// Signature: ECDSA over SHA-256 (the key's own curve) of SignedText, base64 of the DER form; the
// key is that of the controller's certificate authority.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "controller/base/clock.h"
#include "controller/base/status.h"
#include "reconcilers/audit/entry.h"

namespace sluice::audit {

struct Checkpoint {
  Head head;
  base::WallTime time;
  std::string signature;  // empty: not signed
  Head retired;           // seq 0: nothing was removed
};

// What is signed: form v1 while nothing is retired, else v2. Whole seconds.
std::string SignedText(const Checkpoint& checkpoint);

// As the data of a ConfigMap: epoch, seq, hash, time, signature; retiredEpoch, retiredSeq and
// retiredHash once something is.
std::map<std::string, std::string> Encode(const Checkpoint& checkpoint);
// Errors: DataLoss naming the key.
base::StatusOr<Checkpoint> Decode(const std::map<std::string, std::string>& data);

// Thread rule: one caller at a time.
class CheckpointStore {
 public:
  struct Versioned {
    Checkpoint checkpoint;
    std::string version;
  };
  virtual ~CheckpointStore() = default;
  // nullopt: there is none. Errors: Unavailable and the like; DataLoss.
  virtual base::StatusOr<std::optional<Versioned>> Read() = 0;
  // Compare-and-swap; an empty `expected` makes it. Errors: Aborted when another was first.
  virtual base::StatusOr<std::string> Write(const Checkpoint& checkpoint,
                                            const std::string& expected) = 0;
};

// Signs SignedText. Errors: InvalidArgument (the key).
using Signer = std::function<base::StatusOr<std::string>(const std::string& text)>;

// `key_pem`, `certificates_pem` as the authority keeps them; one certificate of several has to fit.
base::StatusOr<std::string> Sign(const std::string& key_pem, const std::string& text);
// Errors: InvalidArgument (not PEM, not base64); PermissionDenied when no certificate's key made
// it.
base::Status CheckSignature(const std::string& certificates_pem, const std::string& text,
                            const std::string& signature);

}  // namespace sluice::audit
