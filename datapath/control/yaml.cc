// ParseYaml(): the YAML form of config.h. Field names are the custom resources' (camelCase), sizes
// take Ki, Mi, Gi and Ti, durations are "5s". yaml-cpp throws; it is caught here.
#include "controller/base/yaml.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <charconv>
#include <functional>
#include <limits>
#include <string>
#include <string_view>

#include "controller/base/file.h"
#include "controller/base/time_format.h"
#include "datapath/control/config.h"
#include "datapath/control/limits.h"

namespace sluice::control {
namespace {

using base::InvalidArgument;
using base::Status;
using base::StatusOr;

// One mapping of the document. Reads fields by name, remembers the first error, and at the end
// refuses every field that nobody asked for.
class Mapping {
 public:
  Mapping(const YAML::Node& node, std::string path, Status& error)
      : node_(node), path_(std::move(path)), error_(error) {
    if (!node_.IsMap()) {
      Fail("", "not a mapping", "write fields as `name: value`");
    }
  }

  void Text(const char* name, std::string& out) {
    const auto node = Take(name);
    if (!node) return;
    if (node.IsScalar()) {
      out = node.Scalar();
    } else {
      Fail(name, "not a text", "give one value");
    }
  }

  // `name: value` or `nameFile: path`. One newline at the end of a file is not part of the secret.
  void TextOrFile(const char* name, std::string& out) {
    const std::string file_field = std::string(name) + "File";
    std::string file;
    Text(name, out);
    Text(file_field.c_str(), file);
    if (!error_.ok() || file.empty()) return;
    if (!out.empty()) {
      return Fail(file_field, fmt::format("given together with {}", name), "keep one of the two");
    }
    auto bytes = base::ReadFile(file, kMaxSecretFileBytes);
    if (!bytes.ok()) {
      return Fail(file_field, bytes.status().ToString(), "name a readable file");
    }
    out = std::move(bytes).value();
    if (out.ends_with('\n')) out.pop_back();
  }

  void Boolean(const char* name, bool& out) {
    const auto node = Take(name);
    if (!node) return;
    if (!YAML::convert<bool>::decode(node, out))
      Fail(name, "not true or false", "write one of them");
  }

  // A count, or bytes with a binary suffix.
  void Number(const char* name, std::uint64_t& out) {
    std::string text;
    Text(name, text);
    if (text.empty()) return;
    std::string_view digits = text;
    int shift = 0;
    for (const auto& [suffix, bits] :
         {std::pair("Ki", 10), std::pair("Mi", 20), std::pair("Gi", 30), std::pair("Ti", 40)}) {
      if (digits.ends_with(suffix)) {
        digits.remove_suffix(2);
        shift = bits;
        break;
      }
    }
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size() ||
        value > std::numeric_limits<std::uint64_t>::max() >> shift) {
      return Fail(name, fmt::format("\"{}\" is not a number", text),
                  "write a whole number, with Ki, Mi, Gi or Ti for bytes");
    }
    out = value << shift;
  }

  void Number32(const char* name, std::uint32_t& out) {
    std::uint64_t wide = out;
    Number(name, wide);
    if (wide > std::numeric_limits<std::uint32_t>::max()) {
      return Fail(name, fmt::format("{} is too large", wide), "write a number below 4294967296");
    }
    out = static_cast<std::uint32_t>(wide);
  }

  void Seconds(const char* name, std::chrono::seconds& out) {
    std::string text;
    Text(name, text);
    if (text.empty()) return;
    const auto duration = base::ParseDuration(text);
    if (!duration.ok()) return Fail(name, duration.status().message(), "write e.g. 5s or 1m");
    if (*duration % std::chrono::seconds(1) != base::Duration::zero()) {
      return Fail(name, fmt::format("\"{}\" is not whole seconds", text), "round it to seconds");
    }
    out = std::chrono::duration_cast<std::chrono::seconds>(*duration);
  }

  // Calls `item(node, path)` for each entry of a list.
  void Each(const char* name, std::size_t limit,
            const std::function<void(const YAML::Node&, std::string)>& item) {
    const auto node = Take(name);
    if (!node) return;
    if (!node.IsSequence()) return Fail(name, "not a list", "write entries as `- value`");
    if (node.size() > limit) {
      return Fail(name, fmt::format("{} entries", node.size()),
                  fmt::format("give at most {}", limit));
    }
    for (std::size_t i = 0; i < node.size() && error_.ok(); ++i) {
      item(node[i], fmt::format("{}[{}]", Path(name), i));
    }
  }

  void Texts(const char* name, std::size_t limit, const std::function<void(std::string)>& item) {
    Each(name, limit, [&](const YAML::Node& node, const std::string& path) {
      if (node.IsScalar()) return item(node.Scalar());
      error_ = InvalidArgument(path + ": not a text; give one value");
    });
  }

  void Nested(const char* name, const std::function<void(Mapping&)>& read) {
    const auto node = Take(name);
    if (!node) return;
    Mapping nested(node, Path(name), error_);
    read(nested);
    nested.Finish();
  }

  void Fail(std::string_view name, std::string_view rule, std::string_view cure) {
    if (error_.ok()) error_ = InvalidArgument(fmt::format("{}: {}; {}", Path(name), rule, cure));
  }

  // Refuses what was not read, and fields given twice.
  void Finish() {
    if (!error_.ok()) return;
    std::vector<std::string> seen;
    for (const auto& entry : node_) {
      if (!entry.first.IsScalar()) return Fail("", "a field's name is not a text", "quote it");
      const std::string name = entry.first.Scalar();
      if (std::find(known_.begin(), known_.end(), name) == known_.end()) {
        std::string names;
        for (const auto& field : known_) names += (names.empty() ? "" : ", ") + field;
        return Fail(name, "unknown field", "known here: " + names);
      }
      if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
        return Fail(name, "given twice", "keep one");
      }
      seen.push_back(name);
    }
  }

  Status& error() { return error_; }

 private:
  std::string Path(std::string_view name) const {
    if (name.empty()) return path_.empty() ? "document" : path_;
    return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
  }

  YAML::Node Take(const char* name) {
    known_.emplace_back(name);
    if (!error_.ok()) return YAML::Node(YAML::NodeType::Undefined);
    const YAML::Node node = node_[name];
    if (node && node.IsNull()) return YAML::Node(YAML::NodeType::Undefined);
    return node;
  }

  const YAML::Node node_;  // const: operator[] of another does not add what it does not find
  std::string path_;
  Status& error_;
  std::vector<std::string> known_;
};

void ReadCredentials(Mapping& in, Credentials& out) {
  in.TextOrFile("accessKeyID", out.access_key_id);
  in.TextOrFile("secretAccessKey", out.secret_access_key);
  in.TextOrFile("sessionToken", out.session_token);
}

void ReadCache(Mapping& in, Cache& out) {
  in.Number("memoryBytes", out.memory_bytes);
  in.Number("diskBytes", out.disk_bytes);
  in.Texts("diskPaths", kMaxDiskPaths,
           [&](std::string path) { out.disk_paths.push_back(std::move(path)); });
  in.Number32("chunkBytes", out.chunk_bytes);
  in.Boolean("hugePages", out.huge_pages);
  in.Seconds("metadataTTL", out.metadata_ttl);
}

void ReadOrigin(Mapping& in, Origin& out) {
  in.Text("name", out.name);
  in.Text("endpoint", out.endpoint);
  in.Text("region", out.region);
  in.Boolean("pathStyle", out.path_style);
  in.TextOrFile("caPEM", out.ca_pem);
  in.Nested("credentials", [&](Mapping& keys) { ReadCredentials(keys, out.credentials); });
}

void ReadMount(Mapping& in, Mount& out) {
  in.Text("path", out.path);
  in.Text("origin", out.origin);
  in.Text("bucket", out.bucket);
  in.Text("prefix", out.prefix);
  in.Boolean("pin", out.pin);
  std::chrono::seconds ttl{-1};
  in.Seconds("metadataTTL", ttl);
  if (ttl.count() >= 0) out.metadata_ttl = ttl;
}

void ReadGrant(Mapping& in, Grant& out) {
  in.Text("mount", out.mount);
  in.Texts("verbs", 4, [&](const std::string& verb) {
    if (verb == "Read") {
      out.verbs |= kRead;
    } else if (verb == "Write") {
      out.verbs |= kWrite;
    } else if (verb == "Delete") {
      out.verbs |= kDelete;
    } else if (verb == "List") {
      out.verbs |= kList;
    } else {
      in.Fail("verbs", fmt::format("unknown verb \"{}\"", verb),
              "use Read, Write, Delete and List");
    }
  });
}

template <typename T>
void ReadList(Mapping& in, const char* name, std::size_t limit, std::vector<T>& out,
              void (*read)(Mapping&, T&)) {
  in.Each(name, limit, [&](const YAML::Node& node, std::string path) {
    Mapping entry(node, std::move(path), in.error());
    read(entry, out.emplace_back());
    entry.Finish();
  });
}

void ReadTenant(Mapping& in, Tenant& out) {
  in.Text("name", out.name);
  ReadList(in, "keys", kMaxKeysPerTenant, out.keys, &ReadCredentials);
  ReadList(in, "access", kMaxGrantsPerTenant, out.grants, &ReadGrant);
}

void ReadCertificate(Mapping& in, CertificateFiles& out) {
  in.Text("certificateFile", out.certificate_file);
  in.Text("keyFile", out.key_file);
}

// `address`, or a mapping of address and tls.
void ReadListener(const YAML::Node& node, std::string path, Status& error, Listen& out) {
  if (node.IsScalar()) {
    out.address = node.Scalar();
    return;
  }
  Mapping in(node, std::move(path), error);
  in.Text("address", out.address);
  in.Nested("tls", [&](Mapping& tls) {
    ReadList(tls, "certificates", kMaxCertificates, out.certificates, &ReadCertificate);
    if (out.certificates.empty())
      tls.Fail("certificates", "there is none", "name at least one certificateFile and keyFile");
  });
  in.Finish();
}

void ReadConfig(Mapping& in, Config& out) {
  in.Text("site", out.site);
  in.Text("node", out.node);
  in.Text("s3Region", out.s3_region);
  in.Each("listeners", kMaxListeners, [&](const YAML::Node& node, std::string path) {
    ReadListener(node, std::move(path), in.error(), out.listeners.emplace_back());
  });
  in.Text("metrics", out.metrics.address);
  in.Number32("threads", out.threads);
  in.Nested("cache", [&](Mapping& cache) { ReadCache(cache, out.cache); });
  ReadList(in, "origins", kMaxOrigins, out.origins, &ReadOrigin);
  ReadList(in, "mounts", kMaxMounts, out.mounts, &ReadMount);
  ReadList(in, "tenants", kMaxTenants, out.tenants, &ReadTenant);
}

}  // namespace

StatusOr<Config> ParseYaml(const std::string& text) {
  if (text.size() > kMaxYamlBytes) {
    return InvalidArgument(
        fmt::format("document: {} bytes; give at most {}", text.size(), kMaxYamlBytes));
  }
  Config config;
  Status error;
  try {
    const YAML::Node root = YAML::Load(text);
    SLUICE_RETURN_IF_ERROR(base::CheckYamlEnd(text, base::YamlDocuments::kOne));
    Mapping document(root, "", error);
    ReadConfig(document, config);
    document.Finish();
  } catch (const YAML::Exception& problem) {
    return InvalidArgument(fmt::format("line {}, column {}: {}", problem.mark.line + 1,
                                       problem.mark.column + 1, problem.msg));
  }
  if (!error.ok()) return error;
  SLUICE_RETURN_IF_ERROR(Validate(config));
  return config;
}

}  // namespace sluice::control
