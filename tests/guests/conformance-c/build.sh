# Builds the core module `$1` with zig cc; the host makes a component of it. `cargo xtask plugins` sets WEIR_VENV and WEIR_BUILD.
set -euo pipefail
"$WEIR_VENV/bin/python" -m ziglang cc -target wasm32-wasi -mexec-model=reactor -O2 -std=c11 -Wall -Wextra -Werror \
  -Wl,--strip-debug -I gen -o "$WEIR_BUILD/module.wasm" conformance.c columns.c stores.c gen/processor.c gen/processor_component_type.o
mv "$WEIR_BUILD/module.wasm" "$1"
