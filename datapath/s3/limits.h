// Bounds of this folder: every queue, cache, buffer and retry has one, and it stands here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::s3 {

inline constexpr std::size_t kMaxQueryParams = 64;
inline constexpr std::size_t kMaxKeyBytes = 1024;  // S3's own bound, decoded
inline constexpr std::size_t kMaxBucketBytes = 63;
inline constexpr std::size_t kMaxCredentialBytes = 256;  // access key id and scope
inline constexpr std::size_t kMaxSignedHeadersBytes = 2048;
inline constexpr std::uint32_t kMaxPresignSeconds = 7 * 24 * 3600;
inline constexpr int kMaxSkewSeconds = 15 * 60;
inline constexpr std::size_t kMaxSigningKeys = 256;   // cached per thread
inline constexpr std::size_t kMaxListKeys = 1000;     // in one ListObjectsV2 answer
inline constexpr std::size_t kMaxDeleteKeys = 1000;   // in one DeleteObjects request
inline constexpr std::size_t kMaxXmlBytes = 8 << 20;  // of one XML document read
inline constexpr int kMaxXmlDepth = 16;
inline constexpr std::size_t kMaxAwsChunkBytes = 1 << 30;  // of one aws-chunked chunk
inline constexpr std::size_t kMaxAwsTrailerBytes = 4096;

}  // namespace sluice::s3
