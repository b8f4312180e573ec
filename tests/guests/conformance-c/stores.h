// The commands about stores and timers.
#pragma once

#include "columns.h"

/// Opened when an instance is made.
typedef struct {
  weir_plugin_state_own_key_value_store_t kv;
  weir_plugin_state_own_window_store_t win;
  weir_plugin_state_own_session_store_t ses;
} stores_t;

void stores_declare(void);
void stores_open(stores_t *stores);

/// Does what `command` says with the words of `rest`. False: it is no such command. What a refused row has written, its
/// caller takes back.
bool stores_run(call_t *call, const stores_t *stores, cell_t command, cell_t rest, cell_t *answer);
void stores_put_fired(const stores_t *stores, cell_t name);

bool is(cell_t cell, const char *word);
/// Cuts a cell at its first blank; `rest` is what follows.
cell_t word(cell_t from, cell_t *rest);
int64_t number(call_t *call, cell_t cell);
