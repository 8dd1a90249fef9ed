#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make run: from a registry to the scheduler's table, end to end; removes all that it made.
set -eu
. "$(dirname "$0")/environment.sh"
residue() { # what is visible of this run on the host
  mount | grep -F "$work" || true
  [ -z "${pod:-}" ] || find /sys/fs/cgroup -type d -name "*$pod*" 2>/dev/null
  ip -o link | grep -F "$bridge" || true
  pgrep -af "$work" || true
}
trap stop_all EXIT
trap 'exit 130' INT TERM

say "a registry on loopback with an image made from busybox-static"
start_registry
echo "http://$registry/v2/web: $(cat "$work/image.json" | cut -c1-90)…"
say "berth-scheduler and berthd"
start_scheduler
write_cni
start_berthd
echo "berthd: $("$berth" version 2>/dev/null | head -n 1), CRI socket unix://$work/berth.sock"

say "berth kube play: a Pod manifest through the CRI socket"
sed "s|REGISTRY|$registry|" "$top/tests/demo/pod.yaml" > "$work/pod.yaml"
export BERTH_ADDRESS="unix://$work/berth.sock" BERTH_SCHEDULER="$scheduler"
"$berth" kube play "$work/pod.yaml" || die "kube play failed"
"$berth" kube ps
pod=$("$berth" kube ps -q)
address=$("$berth" kube ps --format json | jq -r '.[0].ip')
say "curl http://$address/"
curl -sf --retry 20 --retry-connrefused --retry-delay 0 -m 10 "http://$address/" || die "the pod does not answer"
say "berth kube exec web -- uname -n; cat /proc/1/comm"
"$berth" kube exec web -- sh -c 'uname -n; cat /proc/1/comm'
say "berth kube logs web"
"$berth" kube logs web
say "berth node ls"
tries=0
until "$berth" node ls | grep -q CONNECTED; do tries=$((tries + 1)); [ $tries -lt 100 ] || die "the node is not in the scheduler's table"; sleep 0.05; done
"$berth" node ls
say "berth fit --cpu 500m --memory 128Mi"
"$berth" fit --cpu 500m --memory 128Mi
say "berth kube down"
"$berth" kube down "$work/pod.yaml"
stop_all
trap - EXIT
left=$(residue)
[ -z "$left" ] || { echo "demo: left behind:" >&2; echo "$left" >&2; exit 1; }
say "done; nothing is left"
