#!/usr/bin/env bash
# All results that are committed, then the tables: about 12 minutes, and 15 more for the arena, on two cores that nobody else uses.
#     bash benchmarks/all.sh warm     compiles what the rest needs; any time before, on a busy machine too
#     bash benchmarks/all.sh          measures;  PYTHON=… THREADS=2
set -u
cd "$(dirname "$0")/.."
python=${PYTHON:-python} threads=${THREADS:-2} warm=${1:-}

# figures of a machine of narrower vectors stand beside the others; what is not about speed against peers is not measured twice
width=$(PYTHONPATH=. "$python" -c "from numconv.cpu.machine import detect; print(detect().vector_bytes)")
case $width in 64) narrow= ;; 32) narrow=_avx2 ;; *) narrow=_$((8 * width))bit ;; esac

step() { # step RESULT SECONDS SCRIPT [OPTION…]
    local name=$1 seconds=$2 start=$SECONDS
    shift 2
    local log=${TMPDIR:-/tmp}/numconv-bench-$name.txt
    if [ -n "$warm" ]; then set -- "$@" --seconds 0.01; else set -- "$@" --seconds "$seconds" --out "benchmarks/results/$name$narrow.json"; fi
    if "$python" "benchmarks/$@" >"$log" 2>&1; then state=ok; else state="FAILED, see $log"; fi
    echo "$(date +%T) $name: $state, $((SECONDS - start)) s; $(tail -1 "$log")"
}

step peers 0.5 peers.py --threads "$threads"
step peers_prepacked 0.3 peers.py --threads "$threads" --prepacked
step peers_batch16 0.4 peers.py --threads "$threads" --every 5 --batch 16
step peers_float64 0.4 peers.py --threads "$threads" --every 5 --dtype float64
step peers_last 0.3 peers.py --threads "$threads" --every 5 --layout channels_last
step layouts 0.3 peers.py --threads "$threads" --layout channels_last --peer channels_first
if "$python" -c "import onnx, onnxruntime" 2>/dev/null; then step peers_onnx 0.4 peers.py --threads "$threads" --every 3 --prepacked --peer onnxruntime; fi
if "$python" -c "import onnx, onnxruntime, openvino" 2>/dev/null; then # 102 layers, one library after the other: 5 minutes each
    step arena 0.3 arena.py --threads "$threads"
    step arena_one 0.3 arena.py --threads 1
    step arena_batch16 0.3 arena.py --threads 1 --batch 16 --every 4
    step arena_last 0.3 arena.py --threads 1 --layout channels_last --every 4
    step arena_plain 0.3 arena.py --threads 1 --plain --every 4
fi
step peers_one 0.3 peers.py --threads 1 --every 3
step backward 0.3 backward.py --threads "$threads"
step scaling 0.4 scaling.py --threads "$threads"
step roof 1.5 roof.py --threads "$threads"
if [ -n "$narrow" ]; then
    [ -n "$warm" ] || exec "$python" benchmarks/report.py
    exit
fi
step others 0.3 others.py
step filters 0.4 filters.py --threads "$threads"
step transforms 0.3 transforms.py --threads "$threads"
suite=(-m pytest -q benchmarks/bench_variants.py --threads "$threads")
[ -n "$warm" ] && exec "$python" "${suite[@]}" --benchmark-disable
"$python" "${suite[@]}" --benchmark-max-time=0.3 --benchmark-json=benchmarks/results/variants.json | tail -1
"$python" benchmarks/bench_dispatch.py --out benchmarks/results/dispatch.json
"$python" benchmarks/bench_compile.py --out benchmarks/results/compile.json
"$python" benchmarks/report.py
