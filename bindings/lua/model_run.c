/* Models at work: inference, evaluation, calibration, the check of gradients. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/graph.h"
#include "lua/binding.h"
#include "train/train.h"

#define MOST_PORTS 16
#define MOST_BATCH 256 /* rows a session: enough to be quick, little enough to fit the cache and the memory */

/* ---- Inference ---- */

typedef struct run_ports {
  int inputs, outputs;
  mcl_tensor *in[MOST_PORTS], *out[MOST_PORTS]; /* in: NULL where nothing uses the input */
  int64_t rows;                                 /* of the batch */
  bool is_batched; /* inputs and outputs have a batch dimension: rows can be run in parts */
} run_ports;

static bool has_batch(mcl_shape shape) { return shape.rank > 0 && shape.dim[0] < 0; }

/* The input tensor on the top of the stack, checked and converted; stays on the stack. What nothing uses says nothing of
 * the batch. */
static void take_input(lua_State *L, mcl_model *m, int i, run_ports *ports) {
  mcl_shape wanted = mcl_model_input_shape(m, i);
  mcl_tensor *given = mcl_lua_tensor(L, -1);
  mcl_tensor **f32 = mcl_lua_push_tensor(L);
  char what[256];
  snprintf(what, sizeof what, "input \"%.200s\"", mcl_model_input_name(m, i));
  mcl_lua_check(L, mcl_tensor_narrow(given, MCL_F32, what, f32));
  mcl_shape got = given->shape;
  bool is_used = mcl_model_uses(m, m->inputs[i]);
  if (has_batch(wanted)) {
    int64_t rows = got.rank ? got.dim[0] : 1;
    if (is_used && ports->rows < 0) ports->rows = rows;
    if (is_used && ports->rows != rows)
      mcl_lua_fail(L, "inputs differ in their batch: %lld and %lld rows", (long long)ports->rows, (long long)rows);
    wanted.dim[0] = rows;
  } else {
    ports->is_batched = false;
  }
  if (!mcl_shape_equal(wanted, got)) {
    char a[MCL_SHAPE_TEXT], b[MCL_SHAPE_TEXT];
    mcl_lua_fail(L, "input \"%s\" has shape %s, but got %s", mcl_model_input_name(m, i), mcl_shape_text(wanted, a),
                 mcl_shape_text(got, b));
  }
  ports->in[i] = is_used ? *f32 : NULL;
}

static void take_inputs(lua_State *L, mcl_model *m, run_ports *ports) {
  ports->inputs = mcl_model_inputs(m);
  ports->outputs = mcl_model_outputs(m);
  if (ports->inputs > MOST_PORTS || ports->outputs > MOST_PORTS)
    mcl_lua_fail(L, "a model of more than %d inputs or outputs cannot be run from Lua", MOST_PORTS);
  luaL_checkstack(L, 3 * MOST_PORTS, "run");
  for (int i = 0; i < ports->inputs; i++) {
    if (!lua_istable(L, 2)) {
      if (ports->inputs > 1) mcl_lua_fail(L, "a model of %d inputs wants a table {name = tensor}", ports->inputs);
      lua_pushvalue(L, 2);
    } else if (mcl_lua_field(L, 2, mcl_model_input_name(m, i)) == LUA_TNIL) {
      mcl_lua_fail(L, "input \"%s\" is missing", mcl_model_input_name(m, i));
    }
    take_input(L, m, i, ports);
  }
}

/* An output tensor for all rows each; pushed. */
static void push_outputs(lua_State *L, mcl_model *m, run_ports *ports) {
  for (int i = 0; i < ports->outputs; i++) {
    mcl_shape shape = mcl_model_output_shape(m, i);
    if (has_batch(shape))
      shape.dim[0] = ports->rows;
    else
      ports->is_batched = false;
    mcl_tensor **out = mcl_lua_push_tensor(L);
    mcl_lua_check(L, mcl_tensor_new(m->ctx, MCL_F32, shape, out));
    ports->out[i] = *out;
  }
}

/* Elements of one row of a tensor with a batch, of all of one without. */
static size_t row_size(const run_ports *ports, const mcl_tensor *t, bool batched) {
  return (size_t)(batched ? t->count / (ports->rows > 0 ? ports->rows : 1) : t->count);
}

/* A batch of no rows is run as one of one row, of which nothing goes in and nothing comes out: what does not depend on the
 * batch is computed all the same. */
static mcl_status run_rows(mcl_model *m, mcl_session *session, const run_ports *ports, int64_t first, int64_t rows) {
  for (int i = 0; i < ports->inputs; i++) {
    if (!ports->in[i]) continue;
    bool batched = has_batch(mcl_model_input_shape(m, i));
    size_t row = row_size(ports, ports->in[i], batched), count = batched ? (size_t)rows * row : row;
    memcpy(mcl_session_input(session, i), mcl_tensor_f32(ports->in[i]) + (batched ? (size_t)first * row : 0),
           count * sizeof(float));
  }
  MCL_TRY(mcl_session_run(session));
  for (int i = 0; i < ports->outputs; i++) {
    bool batched = has_batch(mcl_model_output_shape(m, i));
    size_t row = row_size(ports, ports->out[i], batched), count = batched ? (size_t)rows * row : row;
    memcpy(mcl_tensor_f32(ports->out[i]) + (batched ? (size_t)first * row : 0), mcl_session_output(session, i),
           count * sizeof(float));
  }
  return MCL_OK;
}

/* The batch of a model that fixes it: that of the first input that is used, which was checked against what is given. */
static int64_t fixed_batch(const mcl_model *m) {
  for (int i = 0; i < mcl_model_inputs(m); i++) {
    mcl_shape shape = mcl_model_input_shape(m, i);
    if (mcl_model_uses(m, m->inputs[i])) return shape.rank ? shape.dim[0] : 1;
  }
  return 1;
}

static mcl_status run_all(mcl_model *m, const run_ports *ports) {
  mcl_session *session = NULL;
  mcl_status status = MCL_OK;
  int64_t total = ports->rows < 0 ? 1 : ports->rows, made = -1, first = 0;
  int64_t part = ports->is_batched && total > MOST_BATCH ? MOST_BATCH : total;
  do {
    if (part > total - first) part = total - first; /* the last, shorter part has a session of its own */
    if (part != made) {
      mcl_session_free(session);
      session = NULL;
      status = mcl_session_new(m, ports->rows < 0 ? fixed_batch(m) : part > 0 ? part : 1, &session);
      made = part;
    }
    if (!status) status = mcl_check_cancel(m->ctx);
    if (!status) status = run_rows(m, session, ports, first, part);
    first += part;
  } while (first < total && !status);
  mcl_session_free(session);
  return status;
}

/* m:run(tensor) or m:run{name = tensor} -> the outputs in order */
int mcl_lua_model_run(lua_State *L) {
  lua_settop(L, 2);
  mcl_model *m = mcl_lua_model(L, 1);
  run_ports ports = {.rows = -1, .is_batched = true};
  take_inputs(L, m, &ports);
  push_outputs(L, m, &ports);
  mcl_lua_check(L, run_all(m, &ports));
  return ports.outputs;
}

/* ---- Evaluation ---- */

int mcl_lua_model_evaluate(lua_State *L) {
  mcl_model *m = mcl_lua_model(L, 1);
  mcl_dataset *data = mcl_lua_take(L, 2, &mcl_lua_dataset_class);
  const char *loss = lua_isnoneornil(L, 3) ? NULL : mcl_lua_string(L, 3, "loss");
  mcl_evaluation result;
  mcl_lua_check(L, mcl_evaluate(m, data, loss, &result));
  lua_createtable(L, 0, 5);
  if (!isnan(result.explained)) {
    lua_pushnumber(L, result.explained);
    lua_setfield(L, -2, "explained");
  }
  lua_pushnumber(L, result.loss);
  lua_setfield(L, -2, "loss");
  if (!isnan(result.accuracy)) { /* targets that are not labels have none */
    lua_pushnumber(L, result.accuracy);
    lua_setfield(L, -2, "accuracy");
    lua_pushnumber(L, 1 - result.accuracy);
    lua_setfield(L, -2, "error");
  }
  lua_pushinteger(L, result.count);
  lua_setfield(L, -2, "count");
  lua_pushnumber(L, result.seconds);
  lua_setfield(L, -2, "seconds");
  return 1;
}

/* ---- Calibration ---- */

/* All rows of a dataset as f32, and its labels as i64 (NULL where it has targets); both pushed. */
static void push_dataset_rows(lua_State *L, mcl_dataset *data, mcl_tensor **x_out, mcl_tensor **labels_out) {
  mcl_shape shape = data->x->shape;
  shape.dim[0] = data->count;
  mcl_tensor **x = mcl_lua_push_tensor(L), **labels = mcl_lua_push_tensor(L), **narrow = mcl_lua_push_tensor(L);
  mcl_tensor **index = mcl_lua_push_tensor(L);
  bool has_labels = data->y && data->y->shape.rank == 1 && data->y->dtype != MCL_F32;
  mcl_lua_check(L, mcl_tensor_new_raw(data->ctx, MCL_F32, shape, x));
  mcl_lua_check(L, mcl_tensor_new(data->ctx, MCL_I32, mcl_shape_1(data->count), narrow));
  mcl_lua_check(L, mcl_tensor_new(data->ctx, MCL_I32, mcl_shape_1(data->count), index));
  uint32_t *rows = (*index)->data;
  for (int64_t i = 0; i < data->count; i++) rows[i] = (uint32_t)i;
  int32_t *narrow_labels = has_labels ? (*narrow)->data : NULL;
  mcl_lua_check(L, mcl_dataset_gather(data, rows, data->count, NULL, 0, 0, mcl_tensor_f32(*x), narrow_labels, NULL));
  if (has_labels) mcl_lua_check(L, mcl_tensor_convert(*narrow, MCL_I64, labels));
  *x_out = *x;
  *labels_out = *labels;
}

/* m:calibrate(dataset or tensor, {statistic, …}[, labels]) -> {[weight number] = statistics} */
int mcl_lua_model_calibrate(lua_State *L) {
  lua_settop(L, 4);
  mcl_model *m = mcl_lua_model(L, 1);
  unsigned wanted = mcl_lua_statistics_flags(L, 3);
  mcl_tensor *x, *labels = NULL;
  mcl_dataset *data = mcl_lua_test(L, 2, &mcl_lua_dataset_class);
  if (data) {
    push_dataset_rows(L, data, &x, &labels);
  } else {
    mcl_tensor **f32 = mcl_lua_push_tensor(L);
    mcl_lua_check(L, mcl_tensor_narrow(mcl_lua_tensor(L, 2), MCL_F32, "calibration data", f32));
    x = *f32;
  }
  if (!lua_isnil(L, 4)) {
    mcl_tensor **wide = mcl_lua_push_tensor(L);
    mcl_lua_check(L, mcl_tensor_convert(mcl_lua_tensor(L, 4), MCL_I64, wide));
    labels = *wide;
  }
  int count = m->weight_count; /* finalisers that run meanwhile may add some */
  size_t size = (size_t)(count + 1) * sizeof(mcl_statistics *);
  mcl_statistics **list = memset(lua_newuserdatauv(L, size, 0), 0, size);
  lua_createtable(L, 0, count);
  int result = lua_gettop(L);
  luaL_checkstack(L, count + 4, "calibrate");
  mcl_statistics ***boxes = lua_newuserdatauv(L, (size_t)(count + 1) * sizeof *boxes, 0);
  for (int i = 0; i < count; i++) boxes[i] = mcl_lua_push_new(L, &mcl_lua_statistics_class);
  if (m->weight_count != count) mcl_lua_fail(L, "calibrate: the model was changed meanwhile");
  mcl_status status = mcl_calibrate(m, x, labels, wanted, list);
  for (int i = 0; i < count; i++) *boxes[i] = list[i];
  mcl_lua_check(L, status);
  for (int i = count; i > 0; i--) {
    if (list[i - 1])
      lua_rawseti(L, result, i);
    else
      lua_pop(L, 1);
  }
  lua_settop(L, result);
  return 1;
}

/* ---- Gradients ---- */

/* m:check_gradients{batch=2, samples=20, seed=0} -> worst difference, where */
int mcl_lua_model_check_gradients(lua_State *L) {
  lua_settop(L, 2);
  mcl_model *m = mcl_lua_model(L, 1);
  if (!lua_istable(L, 2)) {
    lua_newtable(L);
    lua_replace(L, 2);
  }
  int64_t batch = mcl_lua_field_integer(L, 2, "batch", 2, 1, 4096);
  int samples = (int)mcl_lua_field_integer(L, 2, "samples", 20, 0, 1 << 30);
  uint64_t seed = (uint64_t)mcl_lua_field_integer(L, 2, "seed", 0, INT64_MIN, INT64_MAX);
  double worst;
  char where[256] = "";
  mcl_lua_check(L, mcl_check_gradients(m, batch, samples, seed, &worst, where, sizeof where));
  lua_pushnumber(L, worst);
  lua_pushstring(L, where);
  return 2;
}
