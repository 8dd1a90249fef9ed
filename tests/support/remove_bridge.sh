#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# remove_bridge.sh ROOT…: takes the built-in network's bridge and table of a store away, which stay after the last pod.
for root in "$@"; do
  octet=$(cat "$root/network/builtin/subnet" 2>/dev/null) || continue
  ip link del "berth$octet" 2>/dev/null
  nft delete table ip "berth_berth$octet" 2>/dev/null
done
exit 0
