#!/bin/sh
# Create .venv, install the pinned requirements, build and install the kernels. Says in one line what a machine lacks.
set -eu
python=${1:-python3}
lacks() { echo "setup: $1" >&2; exit 2; }

command -v "$python" >/dev/null || lacks "Python 3.11 or later is missing: install python3 and run make again"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
  || lacks "$("$python" --version) is too old: install Python 3.11 or later, or run make PYTHON=/path/to/python3.11"
"$python" -c 'import venv, ensurepip' 2>/dev/null \
  || lacks "Python's venv module is missing: install python3-venv and run make again"
command -v cargo >/dev/null || lacks "Rust is missing: install rustc and cargo 1.85 or later (rustup.rs) and run make again"
command -v cc >/dev/null || lacks "a C linker is missing: install gcc or clang (build-essential) and run make again"

[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt \
  || lacks "the pinned packages of requirements.txt could not be installed: check the network and run make again"
.venv/bin/maturin develop --release --quiet \
  || lacks "the kernels did not build: check that cargo reaches its registry and run make again"
