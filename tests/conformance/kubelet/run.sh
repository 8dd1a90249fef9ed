#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A real kubelet, standalone (no API server), with a static pod manifest on berthd's socket: the pod must reach Running,
# answer over its network, be restarted after its process is killed, survive a kill -9 of berthd, and go when its
# manifest goes. Everything runs in a mount namespace whose "/" is shared, as kubelet needs, and below one directory.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../../.." && pwd)
if [ -z "${BERTH_KUBELET_NS:-}" ]; then
  sh "$top/tests/deps.sh"
  sh "$here/build.sh"
  export BERTH_KUBELET_NS=1
  exec unshare -m --propagation shared sh "$here/run.sh"
fi
export PATH="$PATH:/usr/sbin:/sbin"
. "$here/../../demo/environment.sh"
passed=0
row() { passed=$((passed + 1)); printf 'ok %s\n' "$1"; }
kube_die() { tail -n 25 "$work/kubelet.log" >&2; die "$1"; }
# The scheduler is not part of this test.
berthd_flags() { echo --root "$work/root" --state "$work/state" --listen "unix://$work/berth.sock" --cni-conf-dir "$work/cni" --network cni; }
trap stop_all EXIT
trap 'exit 130' INT TERM
start_registry
write_cni
start_berthd
mkdir -p "$work/manifests" "$work/kubelet"
api_port=$(free_port)
cat > "$work/kubelet.yaml" <<CONF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
staticPodPath: $work/manifests
containerRuntimeEndpoint: unix://$work/berth.sock
address: 127.0.0.1
port: $(free_port)
readOnlyPort: $api_port
healthzPort: 0
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
enableServer: true
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
fileCheckFrequency: 1s
syncFrequency: 1s
podLogsDir: $work/pod-logs
evictionHard: {memory.available: "1Mi"}
imageGCHighThresholdPercent: 100
makeIPTablesUtilChains: false
volumePluginDir: $work/volume-plugins
CONF
export BERTH_ADDRESS="unix://$work/berth.sock"
"$build/kubelet/kubelet" --config "$work/kubelet.yaml" --root-dir "$work/kubelet" --hostname-override node \
  --cert-dir "$work/pki" --v 2 > "$work/kubelet.log" 2>&1 &
kubelet_pid=$!
pids="$pids $kubelet_pid"
pods() { curl -sf "http://127.0.0.1:$api_port/pods"; }
wait_for_pod() { # jq expression over the pod, seconds
  tries=0
  until [ "$(pods | jq "[.items[]? | select(.metadata.name == \"web-node\") | select($1)] | length" 2>/dev/null)" = 1 ]; do
    tries=$((tries + 1)); [ $tries -lt $(($2 * 5)) ] || { pods | jq '.items[]?.status' >&2; kube_die "pod never matched: $1"; }
    kill -0 "$kubelet_pid" 2>/dev/null || kube_die "kubelet ended"
    sleep 0.2
  done
}
sed "s|REGISTRY|$registry|" "$here/../../demo/pod.yaml" > "$work/manifests/web.yaml"
wait_for_pod '.status.phase == "Running" and .status.containerStatuses[0].ready' 120
row "a static pod reaches Running and Ready"
address=$(pods | jq -r '.items[0].status.podIP')
curl -sf -m 10 --retry 10 --retry-connrefused "http://$address/" | grep -q 'hello from a berth pod' || kube_die "no answer from $address"
row "the pod answers on its address $address"
grep -rq 'web is starting' "$work/pod-logs" || kube_die "no log line below podLogsDir"
row "its log is where kubelet looks for it"
# From outside: pid 1 of a namespace ignores what its own processes send it.
kill -9 "$(jq .pid "$work"/state/k8s/pods/*/oci/*/state.json)"
wait_for_pod '.status.containerStatuses[0].restartCount >= 1 and .status.containerStatuses[0].ready' 120
row "kubelet restarts the container after its process ended"
kill -9 "$berthd_pid"; wait "$berthd_pid" 2>/dev/null || true
curl -sf -m 10 "http://$address/" >/dev/null || kube_die "the pod died with berthd"
row "the pod lives on after kill -9 of berthd"
restarts=$(pods | jq '.items[0].status.containerStatuses[0].restartCount')
start_berthd
sleep 6
wait_for_pod ".status.containerStatuses[0].ready and .status.containerStatuses[0].restartCount == $restarts" 60
row "a new berthd takes the pod over without a restart"
rm "$work/manifests/web.yaml"
tries=0
until [ "$("$berth" kube ps --format json | jq length)" = 0 ]; do tries=$((tries + 1)); [ $tries -lt 300 ] || kube_die "the pod was not removed"; sleep 0.2; done
row "the pod goes when its manifest goes"
echo "$passed passed, 0 failed, 0 skipped"
