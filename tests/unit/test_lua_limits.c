/* Promises about code that catches errors, or that Lua runs out of sight: a cancel ends it within 100 ms of the calling
 * thread's time, instructions that are used up end it for good, and memory stays within its limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <lauxlib.h>
#include <lualib.h>
#include <mcl/mcl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITHIN_MS 1000 /* instrumented code is slower */
#else
#define WITHIN_MS 100
#endif

static mcl_context *new_context(size_t memory_limit) {
  mcl_options options = {.memory_limit = memory_limit, .threads = 1};
  mcl_context *ctx;
  assert_int_equal(mcl_engine_new(&options, &ctx), MCL_OK);
  return ctx;
}

static lua_State *new_sandbox(mcl_context *ctx, mcl_lua_limits limits) {
  lua_State *L;
  assert_int_equal(mcl_lua_new_sandbox(ctx, &limits, &L), MCL_OK);
  return L;
}

static int run(lua_State *L, const char *text) {
  return luaL_loadbufferx(L, text, strlen(text), "=text", "t") || lua_pcall(L, 0, 0, 0);
}

static void works(lua_State *L, const char *text) {
  if (run(L, text)) fail_msg("%s", lua_tostring(L, -1));
}

/* Fails, with an error that has `part` in it. */
static void fails(lua_State *L, const char *text, const char *part) {
  if (!run(L, text)) fail_msg("no error: %s", text);
  const char *message = lua_tostring(L, -1);
  if (!message || !strstr(message, part)) fail_msg("\"%s\" is not in the error \"%s\" of: %s", part, message, text);
  lua_settop(L, 0);
}

/* ---- Cancel from another thread, and what the calling thread spends after it ---- */

static double milliseconds(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

typedef struct canceller {
  mcl_context *ctx;
  clockid_t clock; /* of the thread to be stopped */
  double cancelled_at;
  pthread_t thread;
} canceller;

static void *cancel_soon(void *user) {
  canceller *c = user;
  nanosleep(&(struct timespec){0, 60000000}, NULL);
  c->cancelled_at = milliseconds(c->clock);
  mcl_context_cancel(c->ctx);
  return NULL;
}

static void is_stopped(mcl_context *ctx, lua_State *L, const char *text) {
  canceller c = {.ctx = ctx};
  assert_int_equal(pthread_getcpuclockid(pthread_self(), &c.clock), 0);
  assert_int_equal(pthread_create(&c.thread, NULL, cancel_soon, &c), 0);
  int status = run(L, text);
  double ended = milliseconds(c.clock);
  pthread_join(c.thread, NULL);
  if (!status) fail_msg("no error: %s", text);
  if (ended - c.cancelled_at > WITHIN_MS) fail_msg("%.0f ms after the cancel: %s", ended - c.cancelled_at, text);
  const char *message = lua_tostring(L, -1);
  if (!message || !strstr(message, "cancelled")) fail_msg("the error is \"%s\", of: %s", message, text);
  lua_settop(L, 0);
  mcl_context_resume(ctx);
}

/* Endless, each in its own way. */
static const char *const endless[] = {
    "while true do end",
    "while true do pcall(function() while true do end end) end",
    "while true do pcall(pcall, error) end",
    "xpcall(function() while true do end end, function() while true do end end)",
    "xpcall(error, function() while true do end end)",
    "local function h(e) return xpcall(error, h, e) end while true do xpcall(error, h, 'x') end",
    "while true do xpcall(function() while true do end end, function(e) while true do end end) end",
    "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
    "coroutine.wrap(function() pcall(coroutine.wrap(function() while true do end end)) while true do end end)()",
    "local function f(d) for i = 1, 60 do if d > 0 then coroutine.wrap(f)(d - 1) end end end f(9)",
    "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
    "while true do coroutine.resume(coroutine.running()) end",
    "local function f() local x <close> = setmetatable({}, {__close = f}) while true do end end f()",
    "local mt = {__close = function() while true do end end}\n"
    "coroutine.wrap(function() local x <close> = setmetatable({}, mt) while true do end end)()",
    "local mt = {__close = function() while true do end end}\n"
    "local co = coroutine.create(function() local x <close> = setmetatable({}, mt) coroutine.yield() end)\n"
    "coroutine.resume(co) coroutine.close(co)",
    "local mt = {__close = function() error 'again' end}\n"
    "local function f(n) local x <close> = setmetatable({}, mt) if n == 0 then while true do end end f(n - 1) end "
    "f(1e5)",
    "load(function() while true do end end)",
    "while true do load(function() return ' ' end) end",
    "while true do load(function() error 'x' end) end",
    "while true do require 'mcl.core'.watch() end",
    "table.move({}, 1, math.maxinteger - 1, 2)",
    "table.move({}, 1, math.maxinteger - 1, 1, {})",
    "table.insert(setmetatable({}, {__len = function() return 1 << 60 end}), 1, 1)",
    "table.remove(setmetatable({}, {__len = function() return 1 << 60 end}), 1)",
    "table.concat(setmetatable({}, {__index = function() return '' end}), '', 1, 1 << 60)",
    "local t = {} for i = 1, 100 do t[i] = i % 9 end while true do table.sort(t) end",
    "table.sort(setmetatable({}, {__len = function() return 1 << 30 end, __index = function() return 1 end}))",
    "while true do (('a'):rep(40)):find((('.-'):rep(30)) .. 'b') end",
    "while true do (('a'):rep(40)):gsub((('.-'):rep(30)) .. 'b', '') end",
    "while true do (('a'):rep(40)):match((('a?'):rep(40)) .. ('a'):rep(40) .. 'b') end",
    "for _ in (('a'):rep(40)):gmatch((('.-'):rep(30)) .. 'b') do end",
    "local s = '[' .. ('a'):rep(60000) .. ']' while true do (('b'):rep(60000)):find(s .. '*x') end",
    "while true do (('('):rep(60000)):find '%b()' end",
    "while true do (''):rep(math.maxinteger) end",
    "local s = ('x'):rep(60000) while true do local u = s:upper():lower():reverse() end",
    "local function f(...) while true do local t = select('#', ...) end end f(table.unpack({}, 1, 2e5))",
    "local t = setmetatable({}, {__index = function(t, k) while true do end end}) return t.x",
    "while true do pcall(setmetatable({}, {__call = function() while true do end end})) end",
    "local t = require 'mcl'.random({10000}) while true do pcall(function() return t:sum() end) end",
};

static void whatever_catches_errors_a_cancel_ends_a_sandbox(void **state) {
  (void)state;
  mcl_context *ctx = new_context(0);
  lua_State *L = new_sandbox(ctx, (mcl_lua_limits){.memory_bytes = 64 << 20});
  for (size_t i = 0; i < sizeof endless / sizeof *endless; i++) is_stopped(ctx, L, endless[i]);
  works(L, "local ok, message = pcall(error, 'mine', 0) assert(not ok and message == 'mine')"); /* and it goes on */
  lua_close(L);
  mcl_context_free(ctx);
}

static void whatever_catches_errors_instructions_that_are_used_up_end_it_for_good(void **state) {
  (void)state;
  mcl_context *ctx = new_context(0);
  for (size_t i = 0; i < sizeof endless / sizeof *endless; i++) {
    lua_State *L = new_sandbox(ctx, (mcl_lua_limits){.memory_bytes = 64 << 20, .instructions = 300000});
    fails(L, endless[i], "limit of Lua instructions");
    fails(L, "local x = 1 + 1", "limit of Lua instructions");
    fails(L, "require 'mcl'", "limit of Lua instructions");
    lua_close(L);
  }
  mcl_context_free(ctx);
}

static void a_cancel_that_is_on_lets_nothing_begin(void **state) {
  (void)state;
  mcl_context *ctx = new_context(0);
  lua_State *L = new_sandbox(ctx, (mcl_lua_limits){0});
  works(L, "mcl = require 'mcl' x = mcl.ones {3}");
  mcl_context_cancel(ctx);
  fails(L, "pcall(print)", "cancelled");
  fails(L, "return x:sum()", "cancelled");
  fails(L, "return mcl.zeros {1}", "cancelled");
  mcl_context_resume(ctx);
  works(L, "assert(x:sum() == 3)");
  lua_close(L);
  mcl_context_free(ctx);
}

/* A coroutine that died within a hook has its hooks off: what is to be closed there is left. */
static void a_coroutine_that_was_stopped_is_not_closed(void **state) {
  (void)state;
  mcl_context *ctx = new_context(0);
  lua_State *L = new_sandbox(ctx, (mcl_lua_limits){0});
  is_stopped(ctx, L,
             "co = coroutine.create(function()\n"
             "  local x <close> = setmetatable({}, {__close = function() while true do end end})\n"
             "  while true do end\n"
             "end) coroutine.resume(co)");
  works(L, "local ok, message = coroutine.close(co) assert(not ok and message:find 'stopped')");
  lua_close(L);
  mcl_context_free(ctx);
}

/* ---- A state of the host's own ---- */

static void in_a_state_of_the_hosts_code_that_catches_a_cancel_may_resume_and_otherwise_ends(void **state) {
  (void)state;
  mcl_context *ctx = new_context(0);
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  assert_int_equal(mcl_lua_register(L, ctx), MCL_OK);
  mcl_lua_watch(L);
  is_stopped(ctx, L, "while true do pcall(function() while true do end end) end");
  is_stopped(ctx, L, "local zeros = require 'mcl'.zeros while true do pcall(zeros, {10}) end");
  is_stopped(ctx, L, "while true do coroutine.wrap(function() pcall(function() while true do end end) end)() end");
  works(L, "for i = 1, 1e5 do end");
  mcl_context_cancel(ctx);
  works(L, "local ok, message = pcall(function() while true do end end)\n"
           "assert(not ok and message:find 'cancelled')\n"
           "require 'mcl.core'.resume()\n"
           "for i = 1, 1e5 do end\n"
           "assert(require 'mcl'.ones {3}:sum() == 3)");
  lua_close(L);
  mcl_context_free(ctx);
}

static void a_guarded_state_of_the_hosts_keeps_what_a_sandbox_keeps(void **state) {
  (void)state;
  mcl_context *ctx = new_context(0);
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  assert_int_equal(mcl_lua_register(L, ctx), MCL_OK);
  assert_int_equal(mcl_lua_guard(L), MCL_OK);
  mcl_lua_watch(L);
  for (size_t i = 0; i < sizeof endless / sizeof *endless; i++) is_stopped(ctx, L, endless[i]);
  works(L, "assert(load(string.dump(function() return 7 end), 'x', 'b')() == 7)"); /* it is no sandbox */
  lua_close(L);
  mcl_context_free(ctx);
}

/* ---- What is guarded works as Lua's own does ---- */

static void guarded_functions_do_what_luas_do(void **state) {
  (void)state;
  static const char *const same[] = {
      "local ok, a, b = pcall(function(...) return ... end, 1, 2) assert(ok and a == 1 and b == 2)",
      "assert(select('#', pcall(function() end)) == 1)",
      "local e = {} local ok, caught = pcall(error, e) assert(not ok and caught == e)",
      "local ok, m = pcall(error, nil) assert(not ok and m == nil)",
      "local ok, m = xpcall(error, function(m) return m .. '!' end, 'x', 0) assert(not ok and m == 'x!')",
      "local ok, a, b = xpcall(function(...) return ... end, print, 1, 2) assert(ok and a == 1 and b == 2)",
      "assert(not pcall(pcall)) assert(not pcall(xpcall, print)) assert(not pcall(coroutine.resume, 1))",
      "local co = coroutine.wrap(function() return pcall(function() return 1 + coroutine.yield(5) end) end)\n"
      "assert(co() == 5) local ok, n = co(2) assert(ok and n == 3)",
      "local co = coroutine.wrap(function() return xpcall(function() coroutine.yield() error('z', 0) end,\n"
      "  function(m) return m .. 'h' end) end)\n"
      "co() local ok, m = co() assert(not ok and m == 'zh')",
      "local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) return b * 2, 'end' end)\n"
      "local ok, x = coroutine.resume(co, 1) assert(ok and x == 2)\n"
      "local ok, y, z = coroutine.resume(co, 4) assert(ok and y == 8 and z == 'end')\n"
      "local ok, m = coroutine.resume(co) assert(not ok and m == 'cannot resume dead coroutine')",
      "local co co = coroutine.create(function() return coroutine.resume(co) end)\n"
      "local ok, inner, m = coroutine.resume(co) assert(ok and not inner and m:find 'non%-suspended')",
      "local ok, m = pcall(coroutine.wrap(function() error 'w' end)) assert(not ok and m:find 'text:1: w')",
      "local e = {} local ok, m = pcall(coroutine.wrap(function() error(e) end)) assert(not ok and m == e)",
      "local seen local co = coroutine.create(function()\n"
      "  local x <close> = setmetatable({}, {__close = function() seen = true end}) coroutine.yield() end)\n"
      "coroutine.resume(co) assert(coroutine.close(co) and seen and coroutine.status(co) == 'dead')",
      "local seen local co = coroutine.wrap(function()\n"
      "  local x <close> = setmetatable({}, {__close = function() seen = true end}) error 'e' end)\n"
      "assert(not pcall(co) and seen)",
      "local co = coroutine.create(function()\n"
      "  local x <close> = setmetatable({}, {__close = function() error('c', 0) end}) coroutine.yield() end)\n"
      "coroutine.resume(co) local ok, m = coroutine.close(co) assert(not ok and m == 'c')",
      "local ok, m = pcall(coroutine.close, coroutine.running()) assert(not ok and m:find 'running')",
      "local parts, i = {'return ', '1', ' + 2', nil}, 0\n"
      "assert(load(function() i = i + 1 return parts[i] end)() == 3)",
      "local f, m = load(function() error('r', 0) end) assert(not f and m == 'r')",
      "local f, m = load(function() return {} end) assert(not f and m:find 'must return a string')",
      "local f, m = load('x =', 'name') assert(not f and m:find 'name')",
      "assert(load('return ...')(4) == 4) local e = {a = 3} assert(load('return a', 'n', 't', e)() == 3)",
      "assert(not pcall(load('return a', 'n', 't', nil)))",
  };
  mcl_context *ctx = new_context(0);
  lua_State *plain = luaL_newstate(), *L = new_sandbox(ctx, (mcl_lua_limits){0});
  luaL_openlibs(plain);
  for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
    works(plain, same[i]);
    works(L, same[i]);
  }
  lua_close(plain);
  lua_close(L);
  mcl_context_free(ctx);
}

/* A script that returns a text gives the same in Lua's own state and in a sandbox; line by line. */
static void says_the_same(const char *script) {
  mcl_context *ctx = new_context(0);
  lua_State *states[] = {luaL_newstate(), new_sandbox(ctx, (mcl_lua_limits){0})};
  const char *text[2];
  luaL_openlibs(states[0]);
  for (int i = 0; i < 2; i++) {
    if (luaL_loadstring(states[i], script) || lua_pcall(states[i], 0, 1, 0))
      fail_msg("%s", lua_tostring(states[i], -1));
    text[i] = lua_tostring(states[i], -1);
  }
  for (const char *a = text[0], *b = text[1]; *a || *b;) {
    size_t wanted = strcspn(a, "\n"), got = strcspn(b, "\n");
    if (wanted != got || memcmp(a, b, got)) fail_msg("wanted: %.*s\ngot:    %.*s", (int)wanted, a, (int)got, b);
    a += wanted + (a[wanted] == '\n');
    b += got + (b[got] == '\n');
  }
  for (int i = 0; i < 2; i++) lua_close(states[i]);
  mcl_context_free(ctx);
}

/* Results of calls as text; errors too, without a place, and without the number of the argument, which versions of Lua
 * count differently. */
#define RECORDER                                                                                                       \
  "local lines = {}\n"                                                                                                 \
  "local function show(...)\n"                                                                                         \
  "  local all = table.pack(...)\n"                                                                                    \
  "  for i = 1, all.n do all[i] = (type(all[i]) == 'table' and 'table' or tostring(all[i])):gsub('^[^:]*:%d+: ', "     \
  "''):gsub('#%d', '#') end\n"                                                                                         \
  "  return table.concat(all, '|', 1, all.n)\n"                                                                        \
  "end\n"                                                                                                              \
  "local function record(name, ...) lines[#lines + 1] = (name .. ' = ' .. show(...)):gsub('%c', '?') end\n"            \
  "local seed = 1\n"                                                                                                   \
  "local function random(n) seed = (seed * 1103515245 + 12345) & 0x7fffffff return (seed >> 8) % n + 1 end\n"

static void patterns_match_what_luas_match(void **state) {
  (void)state;
  static const char script[] = RECORDER
      "local items = {'a', 'b', '.', '%a', '%d', '%s', '%W', '[ab]', '[^a]', '[a-c]', '[]a]', '[^]]', '[%d-]', "
      "'[a-]',\n"
      "  '(', ')', '()', '%1', '%2', '%b()', '%bab', '%f[a]', '%f[^b]', '$', '^', '%', '%.', '[', ']', 'c', ' ', "
      "'-x', '%z', '[^%z]'}\n"
      "local suffixes = {'', '', '', '*', '+', '-', '?'}\n"
      "local texts = {'', 'a', 'aab', 'a(b)c', '((a)b', 'ab12 cd', ' a b ', 'aXbab', 'abcabcabc', 'b\\0a', 'a.b-c]'}\n"
      "local replacements = {'<%0>', '%1', '%%', '%2x', '', 'y', '%z', function(a, b) if a ~= 'a' then return b end "
      "end,\n"
      "  {a = 'A', b = false, ab = 1}, function() return {} end, 7}\n"
      "for n = 1, 12000 do\n"
      "  local parts = {}\n"
      "  for i = 1, random(5) do parts[i] = items[random(#items)] .. suffixes[random(#suffixes)] end\n"
      "  local pattern, text = table.concat(parts), texts[random(#texts)]\n"
      "  local at = random(9) - 5\n"
      "  record('find ' .. pattern, pcall(string.find, text, pattern, at))\n"
      "  record('match ' .. pattern, pcall(string.match, text, pattern, at))\n"
      "  local new, limit = replacements[random(#replacements)], random(4)\n"
      "  record('gsub ' .. pattern, pcall(string.gsub, text, pattern, new, limit < 4 and limit - 1 or nil))\n"
      "  record('gmatch ' .. pattern, pcall(function()\n"
      "    local all = {}\n"
      "    for a, b in text:gmatch(pattern, at) do all[#all + 1] = show(a, b) end\n"
      "    return table.concat(all, ';')\n"
      "  end))\n"
      "end\n"
      "for _, p in ipairs {'a', '.', '', '%', 'b\\0'} do record('plain', ('a.%b\\0b'):find(p, 2, true)) end\n"
      "record('deep', pcall(string.find, 'a', ('(a'):rep(40))) record('deeper', pcall(string.find, 'a', "
      "('a?'):rep(300)))\n"
      "record('type', pcall(string.gsub, 'a', 'a', true)) record('missing', pcall(string.find, 'a'))\n"
      "record('number', string.rep(12, 2), pcall(string.find, 123, 2)) record('far', ('abc'):find('', 4), "
      "('abc'):find('', 5))\n"
      "return table.concat(lines, '\\n')";
  says_the_same(script);
}

static void functions_of_tables_do_what_luas_do(void **state) {
  (void)state;
  static const char script[] = RECORDER
      "local big, least = math.maxinteger, math.mininteger\n"
      "local function list(t) return table.concat(t, ',') end\n"
      "local function try(name, f, ...) record(name, pcall(f, ...)) end\n"
      "local function proxy(t) return setmetatable({}, {__index = t, __newindex = t, __len = function() return #t "
      "end}) end\n"
      "for n = 1, 400 do\n"
      "  local t = {} for i = 1, random(12) - 1 do t[i] = random(50) end\n"
      "  local at, copy = random(14) - 2, {}\n"
      "  try('insert', table.insert, t, at, 'x') record('list', list(t))\n"
      "  try('remove', table.remove, t, at) record('list', list(t))\n"
      "  try('remove', table.remove, t) try('insert', table.insert, t, 9) record('list', list(t))\n"
      "  try('move', function() return list(table.move(t, random(4), random(8), random(9))) end)\n"
      "  try('move', function() return list(table.move(t, random(4), random(8), 1, copy)) end)\n"
      "  try('concat', table.concat, t, '-', random(5) - 2, random(9))\n"
      "  try('unpack', table.unpack, t, random(5) - 2, random(9))\n"
      "  local s = {} for i = 1, random(300) do s[i] = random(1000) end\n"
      "  table.sort(s) record('sort', list(s))\n"
      "  table.sort(s, function(a, b) return a > b end) record('sort', list(s))\n"
      "  for i = 1, #s do s[i] = tostring(s[i]) end table.sort(s) record('sort', list(s))\n"
      "  local p = proxy(s) table.insert(p, 2, 'q') table.remove(p, 1) table.sort(p) record('proxy', list(s))\n"
      "  try('rep', string.rep, ('xyz'):sub(1, random(4) - 1), random(40) - 3, ('; '):sub(1, random(3) - 1))\n"
      "end\n"
      "try('move', table.move, {}, 1, big, 2) try('move', table.move, {}, least, 0, 1) try('move', table.move, {}, 1, "
      "0, 1)\n"
      "try('move', table.move, 1, 1, 1, 1) try('move', table.move, {}, 1, 1, 1, 1) try('insert', table.insert, {})\n"
      "try('insert', table.insert, {}, 1, 2, 3) try('insert', table.insert, 1, 2) try('sort', table.sort, {1, 'a'})\n"
      "try('sort', table.sort, {1, 2}, 3) try('concat', table.concat, {1, {}, 3}) try('concat', table.concat, {}, 1, "
      "1, 1)\n"
      "try('unpack', table.unpack, {}, 1, 1e8) try('unpack', table.unpack, {}, least, big) try('unpack', table.unpack, "
      "{}, big, big)\n"
      "try('concat', table.concat, setmetatable({}, {__index = function() return 'i' end}), '', big - 2, big)\n"
      "try('rep', string.rep, 'x', big) try('rep', string.rep, 'x', least)\n"
      "try('rep', string.rep, 'ab', 2, big) try('concat', table.concat, 3)\n"
      "return table.concat(lines, '\\n')";
  says_the_same(script);
}

static void a_sort_keeps_the_order_of_equals_and_an_error_changes_nothing(void **state) {
  (void)state;
  mcl_context *ctx = new_context(0);
  lua_State *L = new_sandbox(ctx, (mcl_lua_limits){0});
  works(L, "assert((''):rep(math.maxinteger) == '')");
  works(L, "local t = {} for i = 1, 1000 do t[i] = {i % 7, i} end\n"
           "table.sort(t, function(a, b) return a[1] < b[1] end)\n"
           "for i = 2, 1000 do local a, b = t[i - 1], t[i] assert(a[1] < b[1] or a[1] == b[1] and a[2] < b[2]) end\n"
           "local u = {3, 1, 2, 'x'} assert(not pcall(table.sort, u)) assert(table.concat(u, ',') == '3,1,2,x')\n"
           "table.sort({3, 1, 2}, function() return true end)"); /* no order at all: no error, no end out of sight */
  lua_close(L);
  mcl_context_free(ctx);
}

/* ---- Memory ---- */

static void luas_memory_counts_against_the_contexts_limit(void **state) {
  (void)state;
  mcl_context *ctx = new_context(16 << 20);
  lua_State *L = new_sandbox(ctx, (mcl_lua_limits){0});
  fails(L, "local t = {} for i = 1, 1e9 do t[i] = i .. ' items' end", "not enough memory");
  assert_in_range(mcl_context_memory_peak(ctx), 8 << 20, 16 << 20);
  lua_close(L);
  assert_true(mcl_context_memory(ctx) < 4096);
  mcl_recipe_run result = {.source = "local t = {} while true do t[#t + 1] = {} end", .model_path = "none"};
  assert_int_not_equal(mcl_run_recipe(ctx, NULL, &result), MCL_OK);
  assert_true(mcl_context_memory_peak(ctx) <= 16 << 20);
  mcl_context_free(ctx);
}

static void a_sandbox_at_its_limit_of_memory_is_stopped_still(void **state) {
  (void)state;
  mcl_context *ctx = new_context(0);
  lua_State *L = new_sandbox(ctx, (mcl_lua_limits){.memory_bytes = 8 << 20});
  is_stopped(ctx, L, "local t = {} while true do pcall(function() while true do t[#t + 1] = {} end end) end");
  is_stopped(ctx, L, "local s = ('x'):rep(1 << 20) while true do local r = s .. s end");
  lua_close(L);
  mcl_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(whatever_catches_errors_a_cancel_ends_a_sandbox),
      cmocka_unit_test(whatever_catches_errors_instructions_that_are_used_up_end_it_for_good),
      cmocka_unit_test(a_cancel_that_is_on_lets_nothing_begin),
      cmocka_unit_test(a_coroutine_that_was_stopped_is_not_closed),
      cmocka_unit_test(in_a_state_of_the_hosts_code_that_catches_a_cancel_may_resume_and_otherwise_ends),
      cmocka_unit_test(a_guarded_state_of_the_hosts_keeps_what_a_sandbox_keeps),
      cmocka_unit_test(guarded_functions_do_what_luas_do),
      cmocka_unit_test(patterns_match_what_luas_match),
      cmocka_unit_test(functions_of_tables_do_what_luas_do),
      cmocka_unit_test(a_sort_keeps_the_order_of_equals_and_an_error_changes_nothing),
      cmocka_unit_test(luas_memory_counts_against_the_contexts_limit),
      cmocka_unit_test(a_sandbox_at_its_limit_of_memory_is_stopped_still),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
