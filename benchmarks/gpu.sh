#!/bin/sh
# All that is to be measured of stacks on one GPU, in at most 5 minutes: sh benchmarks/gpu.sh
#
# A line of JSON for each number as it comes, so that a run that is cut short has said what it found; what
# there was no time for is said too. It needs this folder, Python 3.12 and torch >= 2.11 that sees a GPU.
# Where other packages of requirements.lock are missing and there is no network, give them as wheels:
#
#   WHEELS=folder sh benchmarks/gpu.sh [--seconds 300] [--only bits ce autoloss tests]
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
if [ -n "${WHEELS:-}" ]; then
    site=$(mktemp -d)
    "$python" -m pip install -q --no-index --no-deps --no-compile --target "$site" "$WHEELS"/*.whl
    PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH}
fi
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
exec "$python" benchmarks/gpu.py "$@"
