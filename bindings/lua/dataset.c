/* The class dataset: rows to fit, calibrate, choose and report by. Parts share memory with the whole. */
#include <string.h>

#include "lua/binding.h"
#include "train/train.h"

static void release(mcl_context *ctx, void *object) {
  (void)ctx;
  mcl_dataset_release(object);
}

static mcl_dataset *self(lua_State *L) { return mcl_lua_take(L, 1, &mcl_lua_dataset_class); }

/* core.dataset(x, y[, scale, offset]): x[n, …] u8 or f32; y labels [n] counted from 0, or f32 targets [n, …] */
static int new_dataset(lua_State *L) {
  lua_settop(L, 4);
  mcl_tensor *x = mcl_lua_tensor(L, 1), *y = mcl_lua_tensor(L, 2);
  double scale = lua_isnil(L, 3) ? 1 : mcl_lua_number(L, 3, "scale", -1e30, 1e30);
  double offset = lua_isnil(L, 4) ? 0 : mcl_lua_number(L, 4, "offset", -1e30, 1e30);
  mcl_tensor **xs = mcl_lua_push_tensor(L), **ys = mcl_lua_push_tensor(L);
  mcl_lua_check(L, mcl_tensor_narrow(x, x->dtype == MCL_U8 ? MCL_U8 : MCL_F32, "data: x", xs));
  bool are_labels = y->dtype != MCL_F32 && y->dtype != MCL_F64 && y->dtype != MCL_F16 && y->dtype != MCL_BF16;
  mcl_dtype kind = !are_labels ? MCL_F32 : y->dtype == MCL_U8 ? MCL_U8 : MCL_I64;
  /* copied, so that labels which a fit has checked stay what they are */
  mcl_lua_check(L, y->dtype == kind ? mcl_tensor_copy(y, ys) : mcl_tensor_narrow(y, kind, "data: y", ys));
  mcl_lua_check(L, mcl_dataset_new(*xs, *ys, scale, offset, mcl_lua_push_new(L, &mcl_lua_dataset_class)));
  return 1;
}

/* d:part(seed, first, count): rows first … first+count-1, counted from 0, of a permutation by seed; 0: as they stand */
static int dataset_part(lua_State *L) {
  mcl_dataset *d = self(L);
  uint64_t seed = (uint64_t)mcl_lua_integer(L, 2, "seed", INT64_MIN, INT64_MAX);
  int64_t first = mcl_lua_integer(L, 3, "first", 0, d->count);
  int64_t count = lua_isnoneornil(L, 4) ? d->count - first : mcl_lua_integer(L, 4, "count", 0, d->count - first);
  mcl_lua_check(L, mcl_dataset_part(d, seed, first, count, mcl_lua_push_new(L, &mcl_lua_dataset_class)));
  return 1;
}

static int dataset_x_shape(lua_State *L) {
  mcl_shape shape = self(L)->x->shape;
  mcl_lua_push_shape(L, mcl_shape_of(shape.rank - 1, shape.dim + 1));
  return 1;
}

static bool has_labels(const mcl_dataset *d) { return d->y && d->y->shape.rank == 1 && d->y->dtype != MCL_F32; }

/* d:rows([first, count]) -> x as f32, y: labels i32 or targets f32; first counts from 1 */
static int dataset_rows(lua_State *L) {
  mcl_dataset *d = self(L);
  int64_t first = lua_isnoneornil(L, 2) ? 0 : mcl_lua_integer(L, 2, "first", 1, d->count + 1) - 1;
  int64_t count = lua_isnoneornil(L, 3) ? d->count - first : mcl_lua_integer(L, 3, "count", 0, d->count - first);
  bool labels = has_labels(d);
  mcl_shape x_shape = d->x->shape, y_shape = d->y ? d->y->shape : mcl_shape_1(0);
  x_shape.dim[0] = count;
  y_shape.dim[0] = d->y ? count : 0;
  uint32_t *index = lua_newuserdatauv(L, (size_t)(count + 1) * sizeof *index, 0);
  for (int64_t i = 0; i < count; i++) index[i] = (uint32_t)(first + i);
  mcl_tensor **x = mcl_lua_push_tensor(L), **y = mcl_lua_push_tensor(L);
  mcl_lua_check(L, mcl_tensor_new(d->ctx, MCL_F32, x_shape, x));
  mcl_lua_check(L, mcl_tensor_new(d->ctx, labels ? MCL_I32 : MCL_F32, y_shape, y));
  mcl_lua_check(L, mcl_dataset_gather(d, index, count, NULL, 0, 0, mcl_tensor_f32(*x), labels ? (*y)->data : NULL,
                                      labels || !d->y ? NULL : mcl_tensor_f32(*y)));
  return 2;
}

/* How rows are stored is not shown: x as it is stored, beside scale and offset, is scaled twice or not at all. */
static bool is_stored_so(const char *key) {
  return !strcmp(key, "x") || !strcmp(key, "y") || !strcmp(key, "scale") || !strcmp(key, "offset");
}

static int dataset_index(lua_State *L) {
  mcl_dataset *d = self(L);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (!strcmp(key, "count"))
    lua_pushinteger(L, d->count);
  else if (!strcmp(key, "has_labels"))
    lua_pushboolean(L, has_labels(d));
  else if (is_stored_so(key))
    mcl_lua_fail(L, "a dataset has no \"%s\"; x, y = data:rows() gives copies as a model sees them, scaled already",
                 key);
  else
    mcl_lua_fail(L, "a dataset has no \"%s\"", key);
  return 1;
}

static int dataset_length(lua_State *L) {
  lua_pushinteger(L, self(L)->count);
  return 1;
}

static int dataset_tostring(lua_State *L) {
  mcl_dataset *d = self(L);
  char shape[MCL_SHAPE_TEXT];
  lua_pushfstring(L, "dataset of %I rows of %s", (LUAI_UACINT)d->count,
                  mcl_shape_text(mcl_shape_of(d->x->shape.rank - 1, d->x->shape.dim + 1), shape));
  return 1;
}

static const luaL_Reg methods[] = {
    {"part", dataset_part}, {"x_shape", dataset_x_shape}, {"rows", dataset_rows}, {NULL, NULL}};
static const luaL_Reg meta[] = {{"__len", dataset_length}, {"__tostring", dataset_tostring}, {NULL, NULL}};
const mcl_lua_class mcl_lua_dataset_class = {"dataset", release, methods, meta, dataset_index};

void mcl_lua_open_dataset(lua_State *L) {
  mcl_lua_class_register(L, &mcl_lua_dataset_class);
  lua_pushcfunction(L, new_dataset);
  lua_setfield(L, -2, "dataset");
}
