/* Selectors over layers whose names come from the input too: "selector, name, name …", one a line. What a glob matches is
 * what fnmatch says; a selector is refused, or matches layers in their order. */
#include <fnmatch.h>

#include "fuzz_lua.h"

static const char script[] =
    "local fnmatch = ...\n"
    "local select_layers = require 'mcl.select'\n"
    "local check = require 'mcl.check'\n"
    "return function(text)\n"
    "  local selector, layers = text:match '^[^\\n]*', {}\n"
    "  for name in text:sub(#selector + 2):gmatch '[^\\n]+' do\n"
    "    layers[#layers + 1] = { name = name, weight_name = name .. '.weight', kind = #name % 2 == 0 and 'conv' or "
    "'linear' }\n"
    "    if #layers == 4 then break end\n"
    "  end\n"
    "  local good, found = pcall(select_layers.matching, layers, selector)\n"
    "  local comparable = not selector:find '%[!?[:.=^]' and not selector:find '^@' and not text:find '\\0'\n"
    "  for _, layer in ipairs(layers) do\n" /* a layer's name is that name, whatever letters it has */
    "    if selector == layer.name or selector == layer.weight_name then comparable = false end\n"
    "  end\n"
    "  local next_found = 1\n"
    "  for _, layer in ipairs(good and layers or {}) do\n"
    "    local is_found = found[next_found] == layer\n"
    "    if is_found then next_found = next_found + 1 end\n"
    "    local wanted = fnmatch(selector, layer.name) or fnmatch(selector, layer.weight_name)\n"
    "    assert(not comparable or is_found == wanted, selector .. ' and ' .. layer.name)\n"
    "  end\n"
    "  assert(not good or next_found == #found + 1, 'out of order')\n"
    "  assert(good or type(found) == 'string', 'an error without a text')\n"
    "  local map = { 1 }\n"
    "  for name in text:gmatch '[^\\n]+' do map[name] = name end\n"
    "  local assigned, values = pcall(select_layers.assign, layers, map)\n"
    "  for i in ipairs(assigned and layers or {}) do assert(values[i] ~= nil, 'a layer without a value') end\n"
    "  check.nearest(selector:sub(1, 16), { text:sub(1, 16), 'density', 'conv1' })\n"
    "end\n";

/* fnmatch(glob, name) */
static int matches(lua_State *L) {
  lua_pushboolean(L, !fnmatch(luaL_checkstring(L, 1), luaL_checkstring(L, 2), FNM_NOESCAPE));
  return 1;
}

#define MOST_SIZE 40 /* the nearest name is sought in time that grows with the square */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_lua_call(script, matches, data, size < MOST_SIZE ? size : MOST_SIZE);
}
