/* Text from outside, names of layers and files, on its way to people and to other programs: what is no UTF-8, and what a
 * terminal would obey, is made visible. */
#include <string.h>

#include "lua/binding.h"

size_t mcl_lua_utf8(const char *text, size_t size, uint32_t *code) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  const uint8_t *p = (const uint8_t *)text;
  *code = p[0];
  if (p[0] < 0x80) return 1;
  size_t length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
  if (p[0] < 0xc2 || p[0] > 0xf4 || length > size) return 0;
  *code = p[0] & (0x7fu >> length);
  for (size_t i = 1; i < length; i++) {
    if ((p[i] & 0xc0) != 0x80) return 0;
    *code = *code << 6 | (p[i] & 0x3f);
  }
  bool is_surrogate = *code >= 0xd800 && *code <= 0xdfff;
  return *code < least[length] || *code > 0x10ffff || is_surrogate ? 0 : length;
}

bool mcl_lua_is_control(uint32_t code) {
  bool is_turn =
      (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069); /* of the writing's direction */
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 || is_turn;
}

/* printable(text) -> text that may be shown: bytes that are no UTF-8 and controls, but for ends of lines and tabs, as \xNN */
static int printable(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  for (size_t at = 0; at < size;) {
    uint32_t code;
    size_t length = mcl_lua_utf8(text + at, size - at, &code);
    bool is_shown = length && (code == '\n' || code == '\t' || !mcl_lua_is_control(code));
    if (!length) length = 1;
    for (size_t i = 0; i < length; i++) {
      char escaped[8];
      if (is_shown)
        luaL_addchar(&out, text[at + i]);
      else
        luaL_addlstring(&out, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\x%02x", (uint8_t)text[at + i]));
    }
    at += length;
  }
  luaL_pushresult(&out);
  return 1;
}

void mcl_lua_open_text(lua_State *L) {
  lua_pushcfunction(L, printable);
  lua_setfield(L, -2, "printable");
}
