// A disk and a checkpoint's object in memory, with faults. For tests of this folder.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reconcilers/audit/checkpoint.h"
#include "reconcilers/audit/disk.h"

namespace sluice::audit::fakes {

// Where the process dies: at one operation on the disk or the checkpoint's object, and nothing
// works after it.
struct CrashPoint {
  int at = 0;          // counted from 1; 0: never
  bool after = false;  // the operation still took effect, and nobody heard of it
  int seen = 0;
  bool dead = false;

  // Whether the operation at hand has no effect.
  bool Begin() {
    if (dead) return true;
    dead = ++seen == at;
    return dead && !after;
  }
};

// Paths are "DIRECTORY/NAME". `synced` is what a power cut leaves.
class MemoryDisk final : public Disk {
 public:
  struct Content {
    std::string written;
    std::string synced;
  };
  std::map<std::string, Content> files;
  bool full = false;  // an append writes half and fails, a file cannot be made
  bool sync_fails = false;
  bool truncate_fails = false;
  bool gone = false;              // nothing works
  std::function<void()> syncing;  // before each sync
  CrashPoint* crash = nullptr;

  base::StatusOr<std::unique_ptr<AppendFile>> Create(const std::string& path) override {
    if (gone) return base::Unavailable("the disk is gone");
    if (Killed()) return Dead();
    if (full && !files.empty()) return base::Unavailable("no space left");
    if (files.count(path) != 0) return base::AlreadyExists(path);
    files[path];
    if (Ended()) return Dead();
    return std::unique_ptr<AppendFile>(std::make_unique<File>(*this, path));
  }
  base::StatusOr<std::vector<std::string>> List(const std::string& directory) override {
    if (gone) return base::Unavailable("the disk is gone");
    if (Ended()) return Dead();
    std::vector<std::string> names;
    for (const auto& [path, content] : files) {
      if (path.rfind(directory + "/", 0) == 0) names.push_back(path.substr(directory.size() + 1));
    }
    return names;
  }
  base::StatusOr<std::string> Tail(const std::string& path, std::size_t bytes) override {
    const std::string& all = files.at(path).written;
    return all.substr(all.size() - std::min(bytes, all.size()));
  }
  base::StatusOr<std::uint64_t> Size(const std::string& path) override {
    return files.at(path).written.size();
  }
  base::StatusOr<std::string> Read(const std::string& path, std::uint64_t offset,
                                   std::size_t bytes) override {
    if (Ended()) return Dead();
    const std::string& all = files.at(path).written;
    return offset >= all.size() ? std::string() : all.substr(offset, bytes);
  }
  base::Status Remove(const std::string& path) override {
    if (gone) return base::Unavailable("the disk is gone");
    if (Killed()) return Dead();
    files.erase(path);
    return Ended() ? Dead() : base::OkStatus();
  }

 private:
  bool Killed() { return crash != nullptr && crash->Begin(); }
  bool Ended() const { return crash != nullptr && crash->dead; }
  static base::Status Dead() { return base::Unavailable("killed"); }

  class File final : public AppendFile {
   public:
    File(MemoryDisk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}
    base::Status Append(std::string_view bytes) override {
      if (disk_.gone) return base::Unavailable("the disk is gone");
      const bool was_dead = disk_.Ended();
      const bool half = disk_.Killed() || disk_.full;
      if (was_dead) return Dead();
      disk_.files[path_].written += bytes.substr(0, half ? bytes.size() / 2 : bytes.size());
      if (disk_.Ended()) return Dead();
      return disk_.full ? base::Unavailable("no space left") : base::OkStatus();
    }
    base::Status Sync() override {
      if (disk_.syncing) disk_.syncing();
      if (disk_.gone || disk_.sync_fails) return base::Unavailable("the sync failed");
      if (disk_.Killed()) return Dead();
      disk_.files[path_].synced = disk_.files[path_].written;
      return disk_.Ended() ? Dead() : base::OkStatus();
    }
    base::Status Truncate(std::uint64_t bytes) override {
      if (disk_.gone || disk_.truncate_fails) return base::Unavailable("the truncate failed");
      if (disk_.Killed()) return Dead();
      disk_.files[path_].written.resize(bytes);
      return disk_.Ended() ? Dead() : base::OkStatus();
    }

   private:
    MemoryDisk& disk_;
    const std::string path_;
  };
};

class MemoryCheckpoints final : public CheckpointStore {
 public:
  std::optional<Versioned> stored;
  bool down = false;
  int writes = 0;
  CrashPoint* crash = nullptr;

  base::StatusOr<std::optional<Versioned>> Read() override {
    if (down || (crash != nullptr && crash->dead)) return base::Unavailable("no API server");
    return stored;
  }
  base::StatusOr<std::string> Write(const Checkpoint& checkpoint,
                                    const std::string& expected) override {
    if (down || (crash != nullptr && crash->Begin())) return base::Unavailable("no API server");
    if (expected != (stored ? stored->version : "")) {
      return base::Aborted("changed").WithReason("Conflict");
    }
    stored = Versioned{checkpoint, std::to_string(++writes)};
    if (crash != nullptr && crash->dead) return base::Unavailable("killed");
    return stored->version;
  }
};

}  // namespace sluice::audit::fakes
