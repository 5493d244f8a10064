/* JSON: any text is read or refused; what was read is written, and reads as the same. Keys and texts of any bytes are
 * written so that they can be read. */
#include "fuzz_lua.h"

static const char script[] =
    "local core = require 'mcl.core'\n"
    "local function same(a, b)\n"
    "  if type(a) ~= 'table' then return a == b end\n"
    "  if type(b) ~= 'table' then return false end\n"
    "  for key, value in pairs(a) do if not same(value, b[key]) then return false end end\n"
    "  for key in pairs(b) do if a[key] == nil then return false end end\n"
    "  return true\n"
    "end\n"
    "local function journey(value, indent)\n"
    "  local text = core.json_encode(value, indent)\n"
    "  local read, again = pcall(core.json_decode, text)\n"
    "  assert(read, again)\n"
    "  return again, text\n"
    "end\n"
    "return function(text)\n"
    "  local read, value = pcall(core.json_decode, text)\n"
    "  if read and value ~= nil then\n"
    "    assert(same(value, (journey(value))), 'changed by a journey')\n"
    "    assert(same(value, (journey(value, 2))), 'changed by a journey with breaks')\n"
    "  end\n"
    "  local at = #text // 2\n"
    "  local key = text:sub(1, at):gsub('%z', '')\n" /* a key that jansson could not read */
    "  journey { [key] = text:sub(at + 1), list = { text:byte(1, 8) }, number = tonumber(text) }\n"
    "end\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_lua_call(script, NULL, data, size); }
