# SPDX-License-Identifier: Apache-2.0
# Sourced by run.sh and up.sh: a registry on loopback with a web image, berth-scheduler and berthd, each with directories
# of their own below $work. Only what was started here is ever stopped, by pid.
top=${top:-$(cd "$(dirname "$0")/../.." && pwd)}
build=$top/build
berth="$build/berth"
work=$(mktemp -d /tmp/berth-demo-XXXXXX)
bridge=brth$(printf '%s' "$work" | cksum | cut -c1-6)
pids=""

say() { printf '\n== %s\n' "$*"; }
die() { echo "demo: $*" >&2; for log in "$work"/*.log; do echo "--- $log" >&2; tail -n 15 "$log" >&2; done; exit 1; }
wait_for() { # what, command…
  what=$1; shift
  tries=0
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1)); [ $tries -lt 200 ] || die "$what did not come up"
    sleep 0.05
  done
}
free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }

# A /24 that no interface uses, for this run's bridge.
free_subnet() {
  for third in $(seq 1 250); do
    ip -4 -o addr show | grep -q "10\.87\.$third\." || { echo "10.87.$third.0/24"; return; }
  done
}

start_registry() {
  port=$(free_port)
  registry=127.0.0.1:$port
  mkdir -p "$work/registry"
  printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: "%s"}\n' \
    "$work/registry" "$registry" > "$work/registry.yml"
  docker-registry serve "$work/registry.yml" > "$work/registry.log" 2>&1 &
  pids="$pids $!"
  wait_for registry curl -sf "http://$registry/v2/"
  python3 "$top/tests/support/make_image.py" --registry "$registry" --name web:latest --busybox \
    --file '/www/index.html=hello from a berth pod' --cmd 'sh -c "echo web is starting; exec httpd -f -p 80 -h /www"' --expose 80 > "$work/image.json"
}

write_cni() {
  mkdir -p "$work/cni"
  cat > "$work/cni/10-berth-demo.conflist" <<CONF
{"cniVersion": "1.0.0", "name": "berth-demo", "plugins": [
  {"type": "bridge", "bridge": "$bridge", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$work/ipam", "ranges": [[{"subnet": "$(free_subnet)"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
CONF
}

start_scheduler() {
  scheduler=unix://$work/scheduler.sock
  "$build/berth-scheduler" --listen "$scheduler" --store "$work/scheduler.db" > "$work/scheduler.log" 2>&1 &
  scheduler_pid=$!
  pids="$pids $scheduler_pid"
  wait_for berth-scheduler test -S "$work/scheduler.sock"
}

berthd_flags() {
  echo --root "$work/root" --state "$work/state" --listen "unix://$work/berth.sock" --cni-conf-dir "$work/cni" \
    --network cni --registry-config-dir "$work/certs.d" --scheduler "$scheduler"
}

start_berthd() {
  # shellcheck disable=SC2046
  "$build/berthd" $(berthd_flags) > "$work/berthd.log" 2>&1 &
  berthd_pid=$!
  pids="$pids $berthd_pid"
  wait_for berthd "$berth" --address "unix://$work/berth.sock" kube ps
}

stop_all() {
  set +e
  # What a failed step left running goes through berthd, as its owner would do it.
  [ ! -f "$work/pod.yaml" ] || "$berth" --address "unix://$work/berth.sock" kube down "$work/pod.yaml" >/dev/null 2>&1
  for pid in $(echo "$pids" | tr ' ' '\n' | tac); do kill "$pid" 2>/dev/null; done
  for pid in $pids; do
    tries=0
    while kill -0 "$pid" 2>/dev/null && [ $tries -lt 100 ]; do tries=$((tries + 1)); sleep 0.05; done
    kill -9 "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
  done
  # Nothing is left here unless something failed: end what the shims of this run still hold, then the shims.
  for record in "$work"/state/*/pods/*/oci/*/state.json "$work"/state/*/pods/*/shim.json; do
    [ -f "$record" ] && kill -9 "$(jq .pid "$record")" 2>/dev/null
  done
  for shm in "$work"/state/*/pods/*/shm; do umount "$shm" 2>/dev/null; done
  ip link del "$bridge" 2>/dev/null
  rm -rf "$work"
}
