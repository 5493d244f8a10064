/* Factorisations: mcl.linalg in Lua. Matrices in, tensors out; expressions are evaluated first. */
#include "tensor/linalg.h"

#include "lua/binding.h"

/* An f32 matrix at arg: converted, and kept on the stack in place of the argument. */
static mcl_tensor *matrix(lua_State *L, int arg) {
  mcl_tensor *t = mcl_lua_tensor(L, arg);
  if (t->shape.rank != 2) {
    char shape[MCL_SHAPE_TEXT];
    mcl_lua_fail(L, "argument %d: a matrix is wanted, got a tensor of %s", arg, mcl_shape_text(t->shape, shape));
  }
  if (t->dtype == MCL_F32) return t;
  mcl_tensor **f32 = mcl_lua_push_tensor(L);
  mcl_lua_check(L, mcl_tensor_convert(t, MCL_F32, f32));
  lua_replace(L, arg);
  return *(mcl_tensor **)lua_touserdata(L, arg);
}

/* svd(a[, rank[, seed]]) -> u, s, v with a ≈ u · diag(s) · v */
static int svd(lua_State *L) {
  lua_settop(L, 3);
  mcl_context *ctx = mcl_lua_ctx(L);
  mcl_tensor *a = matrix(L, 1);
  int64_t most = a->shape.dim[0] < a->shape.dim[1] ? a->shape.dim[0] : a->shape.dim[1];
  int64_t rank = lua_isnil(L, 2) ? 0 : mcl_lua_integer(L, 2, "rank", 1, most);
  uint64_t seed = lua_isnil(L, 3) ? mcl_context_seed(ctx) : (uint64_t)mcl_lua_integer(L, 3, "seed", 0, INT64_MAX);
  mcl_tensor **u = mcl_lua_push_tensor(L), **s = mcl_lua_push_tensor(L), **v = mcl_lua_push_tensor(L);
  mcl_lua_check(L, rank ? mcl_linalg_svd_top(a, rank, seed, u, s, v) : mcl_linalg_svd(a, u, s, v));
  return 3;
}

static int qr(lua_State *L) {
  mcl_tensor *a = matrix(L, 1);
  mcl_tensor **q = mcl_lua_push_tensor(L), **r = mcl_lua_push_tensor(L);
  mcl_lua_check(L, mcl_linalg_qr(a, q, r));
  return 2;
}

static int eigen(lua_State *L) {
  mcl_tensor *a = matrix(L, 1);
  mcl_tensor **values = mcl_lua_push_tensor(L), **vectors = mcl_lua_push_tensor(L);
  mcl_lua_check(L, mcl_linalg_eigen(a, values, vectors));
  return 2;
}

static int cholesky(lua_State *L) {
  mcl_lua_check(L, mcl_linalg_cholesky(matrix(L, 1), mcl_lua_push_tensor(L)));
  return 1;
}

/* solve(l, b) -> x with l · lᵀ · x = b, l from cholesky */
static int solve(lua_State *L) {
  lua_settop(L, 2);
  mcl_tensor *l = matrix(L, 1), *b = matrix(L, 2);
  mcl_lua_check(L, mcl_linalg_solve(l, b, mcl_lua_push_tensor(L)));
  return 1;
}

void mcl_lua_open_linalg(lua_State *L) {
  static const luaL_Reg functions[] = {{"svd", svd},           {"qr", qr},       {"eigen", eigen},
                                       {"cholesky", cholesky}, {"solve", solve}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
