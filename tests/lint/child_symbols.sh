#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The code between clone3 and execve may only reference what child_symbols.txt lists: nothing that allocates, locks,
# formats or logs.
set -u
here=$(dirname "$0")
[ $# -gt 0 ] || { echo "child-symbols: no objects" >&2; exit 1; }
defined=$(nm --defined-only "$@" | awk 'NF==3{print $3}' | sort -u)
undefined=$(nm -u "$@" | awk '$1=="U"{print $2}' | sort -u)
bad=0
for symbol in $undefined; do
  echo "$defined" | grep -qxF "$symbol" && continue
  grep -qxF "$symbol" "$here/child_symbols.txt" || { echo "child-symbols: runtime/child may not reference $symbol"; bad=1; }
done
[ $bad = 0 ] && echo "child-symbols: ok"
exit $bad
