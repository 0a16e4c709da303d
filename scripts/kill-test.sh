#!/usr/bin/env bash
# Kills a run with SIGKILL at N moments (default 200), half of them on an empty lake, and runs again after each.
#   scripts/kill-test.sh [N] [SEED]
set -euo pipefail
cd "$(dirname "$0")/.."
export FINOPS_KILLS="${1:-200}" FINOPS_SEED="${2:-1}"
cargo build --quiet --workspace --all-targets
cargo test --quiet -p tests --test e2e faults::kills -- --nocapture
