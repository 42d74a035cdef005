// A disk and a checkpoint's object in memory, with faults. For tests of this folder.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reconcilers/audit/checkpoint.h"
#include "reconcilers/audit/disk.h"

namespace sluice::audit::fakes {

// Paths are "DIRECTORY/NAME". `synced` is what a power cut leaves.
class MemoryDisk final : public Disk {
 public:
  struct Content {
    std::string written;
    std::string synced;
  };
  std::map<std::string, Content> files;
  bool full = false;  // an append writes half and fails
  bool sync_fails = false;
  bool truncate_fails = false;
  bool gone = false;  // nothing works

  base::StatusOr<std::unique_ptr<AppendFile>> Create(const std::string& path) override {
    if (gone) return base::Unavailable("the disk is gone");
    if (files.count(path) != 0) return base::AlreadyExists(path);
    files[path];
    return std::unique_ptr<AppendFile>(std::make_unique<File>(*this, path));
  }
  base::StatusOr<std::vector<std::string>> List(const std::string& directory) override {
    if (gone) return base::Unavailable("the disk is gone");
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

 private:
  class File final : public AppendFile {
   public:
    File(MemoryDisk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}
    base::Status Append(std::string_view bytes) override {
      if (disk_.gone) return base::Unavailable("the disk is gone");
      Content& file = disk_.files[path_];
      file.written += bytes.substr(0, disk_.full ? bytes.size() / 2 : bytes.size());
      return disk_.full ? base::Unavailable("no space left") : base::OkStatus();
    }
    base::Status Sync() override {
      if (disk_.gone || disk_.sync_fails) return base::Unavailable("the sync failed");
      disk_.files[path_].synced = disk_.files[path_].written;
      return base::OkStatus();
    }
    base::Status Truncate(std::uint64_t bytes) override {
      if (disk_.gone || disk_.truncate_fails) return base::Unavailable("the truncate failed");
      disk_.files[path_].written.resize(bytes);
      return base::OkStatus();
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

  base::StatusOr<std::optional<Versioned>> Read() override {
    if (down) return base::Unavailable("no API server");
    return stored;
  }
  base::StatusOr<std::string> Write(const Checkpoint& checkpoint,
                                    const std::string& expected) override {
    if (down) return base::Unavailable("no API server");
    if (expected != (stored ? stored->version : "")) {
      return base::Aborted("changed").WithReason("Conflict");
    }
    stored = Versioned{checkpoint, std::to_string(++writes)};
    return stored->version;
  }
};

}  // namespace sluice::audit::fakes
