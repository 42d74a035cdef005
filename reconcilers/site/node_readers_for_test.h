// What those who read cached Nodes get from one, for comparing a pruned one with the whole.
#pragma once

#include <fmt/format.h>

#include <string>

#include "api/v1alpha1/site_class.pb.h"
#include "reconcilers/site/hardware.h"
#include "reconcilers/site/inputs.h"

namespace sluice::site {

// Of a Site that selects by labels "a" and "sluice.dev/site", and of a class that asks for all that
// a class can ask.
inline std::string WhatReadersGet(const meta::Object& node) {
  static const meta::ObjectPtr by_a =
      meta::Object::Parse(R"({"metadata":{"name":"s"},"spec":{"nodeSelector":{"a":"1"}}})").value();
  static const meta::ObjectPtr by_site =
      meta::Object::Parse(
          R"({"metadata":{"name":"s"},"spec":{"nodeSelector":{"sluice.dev/site":"s"}}})")
          .value();
  v1alpha1::HardwareProfile wanted;
  wanted.set_gpus_per_node(8);
  wanted.set_gpu_resource("example.com/gpu");
  wanted.set_dram("100Gi");
  v1alpha1::DiskProfile& disk = *wanted.add_disks();
  disk.set_kind("NVMe");
  disk.set_count(2);
  disk.set_size("1Ti");
  wanted.mutable_nic()->set_count(2);
  wanted.mutable_nic()->set_gbps(400);
  return fmt::format("{} {} {} {} {} | {} {} | {}", node.key().ToString(), node.name(), node.uid(),
                     node.resource_version(), node.deleting(), Selects(*by_a, node),
                     Selects(*by_site, node), Mismatch(wanted, node));
}

}  // namespace sluice::site
