#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make up: berthd in the foreground, with a registry and a scheduler beside it, until Ctrl-C.
set -eu
. "$(dirname "$0")/environment.sh"
trap stop_all EXIT
trap 'exit 0' INT TERM
start_registry
start_scheduler
write_cni
cat <<LINES
berthd serves CRI v1. Point clients at it with:
  crictl --runtime-endpoint unix://$work/berth.sock ps
  kubelet --container-runtime-endpoint=unix://$work/berth.sock …
  export BERTH_ADDRESS=unix://$work/berth.sock BERTH_SCHEDULER=$scheduler   # berth kube, berth node, berth fit
An image to try: $registry/web:latest. Ctrl-C stops everything and removes $work.
LINES
# shellcheck disable=SC2046
"$build/berthd" $(berthd_flags) &
pids="$pids $!"
wait $!
