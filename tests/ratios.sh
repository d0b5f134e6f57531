#!/usr/bin/env bash
# Prints every figure that has a floor or a goal next to it, each measured alternately with its floor, in some minutes
# after the build. Wants an otherwise idle machine; HAProxy is measured beside the checks if it is installed.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --locked --workspace --bins
measure() {
    local bench=$1
    shift
    echo "== $bench"
    cargo bench --quiet --locked --workspace --bench "$bench" -- "$@"
}
measure checks --backends 2000 --seconds 5 --rounds 1
measure scale --rounds 3
measure agent
measure failover --changes 200
