#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what the build and the tests need. Quiet and instant when all is there.
set -eu
packages="g++ make pkg-config protobuf-compiler protobuf-compiler-grpc libgrpc++-dev libprotobuf-dev libseccomp-dev libcap-dev
 catch2 libboost1.81-dev libcurl4-openssl-dev libssl-dev libisal-dev libzstd-dev zlib1g-dev libsqlite3-dev
 libnl-route-3-dev libnftables-dev libtomlplusplus-dev libyaml-cpp-dev libcli11-dev libfmt-dev
 docker-registry containernetworking-plugins iptables nftables iproute2 busybox-static curl jq bats python3 strace git
 podman conmon netavark containerd crun runc skopeo ca-certificates procps util-linux mount"
missing=""
for package in $packages; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
[ "$(id -u)" = 0 ] || { echo "deps: install these as root:$missing" >&2; exit 1; }
echo "deps: installing:$missing"
export DEBIAN_FRONTEND=noninteractive
# RUNLEVEL=1 keeps the packages from starting services on the host's ports: tests start their own.
export RUNLEVEL=1
apt-get update -qq
apt-get install -y -qq --no-install-recommends $missing >/dev/null
