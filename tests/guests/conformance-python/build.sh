# Builds the component `$1` with componentize-py. `cargo xtask plugins` sets WEIR_WIT, WEIR_VENV and WEIR_BUILD.
set -euo pipefail
"$WEIR_VENV/bin/componentize-py" --wit-path "$WEIR_WIT" --world stateful-processor componentize --stub-wasi -p . app -o "$WEIR_BUILD/component.wasm"
mv "$WEIR_BUILD/component.wasm" "$1"
