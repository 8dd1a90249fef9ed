#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the real kubelet from its Go module into build/kubelet/kubelet, once. k8s.io/kubernetes needs a main module of
# our own and one replace for each staging repository that its go.mod names.
set -eu
top=$(cd "$(dirname "$0")/../../.." && pwd)
version=${KUBELET_VERSION:-1.36.3}
out=$top/build/kubelet
[ -x "$out/kubelet" ] && exit 0
command -v go >/dev/null || { echo "kubelet-test: needs go 1.26 or later" >&2; exit 1; }
echo "kubelet-test: building kubelet $version from its Go module (a few minutes the first time)"
mkdir -p "$out/src"
cd "$out/src"
export GOFLAGS=-mod=mod GOTOOLCHAIN=local
path=$(go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/.*"GoMod": "\(.*\)",*/\1/p')
{
  echo "module berth.test/kubelet"
  sed -n 's/^go .*/&/p' "$path"
  echo "require k8s.io/kubernetes v$version"
  sed -n 's/^\t\{0,1\}\(k8s\.io\/[a-z0-9-]*\) => \.\/staging.*/\1/p; s/^replace \(k8s\.io\/[a-z0-9-]*\) => \.\/staging.*/\1/p' "$path" |
    sort -u | while read -r name; do echo "replace $name => $name v0.${version#1.}"; done
} > go.mod
# go.mod of recent releases names staging repositories by requirement v0.0.0 only.
grep -q '^replace' go.mod || sed -n 's/^\t\(k8s\.io\/[a-z0-9-]*\) v0\.0\.0.*/\1/p' "$path" | sort -u |
  while read -r name; do echo "replace $name => $name v0.${version#1.}"; done >> go.mod
printf 'package main\n\nimport _ "k8s.io/kubernetes/cmd/kubelet/app"\n\nfunc main() {}\n' > keep.go
go build -o "$out/kubelet" -ldflags "-X k8s.io/component-base/version.gitVersion=v$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36" k8s.io/kubernetes/cmd/kubelet
