#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The dependency rule between folders (ARCHITECTURE.md), checked over every #include "…".
set -u
bad=0
# check FOLDER ALLOWED-PREFIXES…: sources of FOLDER include only from itself and the prefixes given.
check() {
  folder=$1; shift
  for file in $(find "$folder" -name '*.cc' -o -name '*.h' 2>/dev/null); do
    for include in $(sed -n 's/^ *#include "\([^"]*\)".*/\1/p' "$file"); do
      ok=0
      for allowed in "$folder/" "$@"; do case $include in "$allowed"*) ok=1;; esac; done
      [ $ok = 1 ] || { echo "layers: $file may not include \"$include\""; bad=1; }
    done
  done
}
base=runtime/base/ sys=runtime/sys/
check runtime/base
check runtime/sys $base
check runtime/oci $base $sys
check runtime/cgroup $base $sys runtime/oci/
check runtime/child
check runtime/plan $base $sys runtime/oci/ runtime/cgroup/ runtime/child/plan.h
check runtime/container $base $sys runtime/oci/ runtime/cgroup/ runtime/plan/ runtime/child/
check runtime/cli $base $sys runtime/oci/ runtime/cgroup/ runtime/plan/ runtime/container/
check runtime/shim $base $sys runtime/oci/ runtime/cgroup/ runtime/plan/ runtime/container/
check cri $base $sys
check rootfs $base $sys
check agent cri/ rootfs/ $base $sys runtime/oci/ runtime/cgroup/ runtime/shim/protocol.h
check contrib $base $sys agent/ cri/ rootfs/
# gRPC headers only in cri/ and the gRPC clients.
for file in $(grep -rlE '#include <(grpc|grpcpp)/' agent rootfs runtime contrib 2>/dev/null); do
  case $file in agent/cli/rpc/*|agent/scheduler/*|contrib/scheduler/*) ;; *) echo "layers: $file may not include gRPC"; bad=1;; esac
done
for file in $(grep -rlE '#include <filesystem>' runtime rootfs 2>/dev/null); do echo "layers: $file: std::filesystem is banned in runtime/ and rootfs/"; bad=1; done
[ $bad = 0 ] && echo "layers: ok"
exit $bad
