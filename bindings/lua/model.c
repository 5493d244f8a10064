/* The class model, as it is built, looked at and saved. Lua's half (lua/mcl/model.lua) wraps it; values and weights are
 * numbered from 1. */
#include <string.h>

#include "artifact/artifact.h"
#include "formats/formats.h"
#include "graph/graph.h"
#include "lua/binding.h"

static void release(mcl_context *ctx, void *object) {
  (void)ctx;
  mcl_model_free(object);
}

mcl_model *mcl_lua_model(lua_State *L, int arg) {
  mcl_model *m = mcl_lua_take(L, arg, &mcl_lua_model_class);
  if (mcl_lua_record(L)->is_reporting) mcl_lua_fail(L, "log, progress and cancelled cannot work with models");
  return m;
}

static mcl_model **push_model(lua_State *L) { return mcl_lua_push_new(L, &mcl_lua_model_class); }

int mcl_lua_weight_index(lua_State *L, int model, int arg) {
  mcl_model *m = mcl_lua_model(L, model);
  if (lua_type(L, arg) != LUA_TSTRING) return (int)mcl_lua_integer(L, arg, "weight", 1, m->weight_count) - 1;
  int index = mcl_model_find_weight(m, lua_tostring(L, arg));
  if (index < 0) mcl_lua_fail(L, "%s has no weight \"%s\"", m->name, lua_tostring(L, arg));
  return index;
}

/* ---- Building ---- */

static int new_model(lua_State *L) {
  mcl_context *ctx = mcl_lua_ctx(L);
  const char *name = mcl_lua_string(L, 1, "name");
  mcl_lua_check(L, mcl_model_new(ctx, name, push_model(L)));
  return 1;
}

static int push_value(lua_State *L, int value) {
  lua_pushinteger(L, value + 1);
  return 1;
}

static int add_input(lua_State *L) {
  int value;
  mcl_model *m = mcl_lua_model(L, 1);
  const char *name = mcl_lua_string(L, 2, "name");
  mcl_lua_check(L, mcl_model_add_input(m, name, mcl_lua_shape(L, 3), &value));
  return push_value(L, value);
}

/* The representation at arg, or the dense one of a copy of the tensor there. */
static mcl_repr *weight_argument(lua_State *L, int arg) {
  mcl_repr *repr = mcl_lua_test(L, arg, &mcl_lua_repr_class);
  if (repr) return repr;
  mcl_tensor *t = mcl_lua_tensor(L, arg);
  if (t->dtype != MCL_F32) {
    mcl_tensor **f32 = mcl_lua_push_tensor(L);
    mcl_lua_check(L, mcl_tensor_narrow(t, MCL_F32, "weight", f32));
    lua_replace(L, arg);
  }
  repr = mcl_lua_push_dense(L, arg);
  lua_replace(L, arg);
  return repr;
}

/* Drops the userdata at arg's own reference now, not when garbage is collected. */
static void drop_argument(lua_State *L, int arg, bool made_here) {
  mcl_repr **box = made_here ? lua_touserdata(L, arg) : NULL;
  if (!box) return;
  mcl_repr_release(*box);
  *box = NULL;
}

static int add_weight(lua_State *L) {
  int value;
  mcl_model *m = mcl_lua_model(L, 1);
  const char *name = mcl_lua_string(L, 2, "name");
  bool is_state = lua_toboolean(L, 4), made = !mcl_lua_test(L, 3, &mcl_lua_repr_class);
  mcl_status status = mcl_model_add_weight(m, name, weight_argument(L, 3), is_state, &value);
  drop_argument(L, 3, made);
  mcl_lua_check(L, status);
  return push_value(L, value);
}

/* An attribute by its name, from the value on the top of the stack. */
static void take_attribute(lua_State *L, const mcl_attribute_spec *spec, mcl_attribute *attribute) {
  if (spec->type == MCL_ATTRIBUTE_FLOAT) {
    attribute->number = mcl_lua_number(L, -1, spec->name, spec->least, spec->most);
  } else if (spec->type == MCL_ATTRIBUTE_INT) {
    attribute->ints[0] =
        lua_isboolean(L, -1) ? lua_toboolean(L, -1) : mcl_lua_integer(L, -1, spec->name, INT64_MIN, INT64_MAX);
    attribute->count = 1;
  } else if (lua_type(L, -1) == LUA_TNUMBER) { /* one number for all places */
    if (!attribute->count) attribute->count = 1;
    for (int i = 0; i < attribute->count; i++)
      attribute->ints[i] = mcl_lua_integer(L, -1, spec->name, INT64_MIN, INT64_MAX);
  } else {
    if (!lua_istable(L, -1)) mcl_lua_fail(L, "%s: a table of integers is wanted", spec->name);
    attribute->count = mcl_lua_list(L, -1, spec->name, MCL_MAX_RANK);
    for (int i = 0; i < attribute->count; i++) {
      lua_rawgeti(L, -1, i + 1);
      attribute->ints[i] = mcl_lua_integer(L, -1, spec->name, INT64_MIN, INT64_MAX);
      lua_pop(L, 1);
    }
  }
}

/* m:add_node(op, name, attributes or nil, {value or false, …}) -> value */
static int add_node(lua_State *L) {
  mcl_model *m = mcl_lua_model(L, 1);
  const char *op_name = mcl_lua_string(L, 2, "op"), *name = mcl_lua_string(L, 3, "name");
  const mcl_op *op = mcl_op_by_name(op_name);
  if (!op) mcl_lua_fail(L, "node \"%s\": op \"%s\" is unknown", name, op_name);
  mcl_attribute attributes[MCL_MAX_ATTRIBUTES];
  mcl_attribute_presets(op, attributes);
  if (lua_istable(L, 4)) {
    for (lua_pushnil(L); lua_next(L, 4); lua_pop(L, 1)) {
      const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
      int i = mcl_op_find_attribute(op, key);
      if (i < 0) mcl_lua_fail(L, "node \"%s\": op \"%s\" has no attribute \"%s\"", name, op_name, key);
      take_attribute(L, &op->attributes[i], &attributes[i]);
    }
  }
  if (!lua_istable(L, 5)) mcl_lua_bad(L, 5, "a list of values");
  int inputs[MCL_MAX_INPUTS], value;
  int count = mcl_lua_list(L, 5, "inputs", MCL_MAX_INPUTS);
  for (int i = 0; i < count; i++) {
    lua_rawgeti(L, 5, i + 1);
    inputs[i] = lua_toboolean(L, -1) ? (int)mcl_lua_integer(L, -1, "input", 1, m->value_count) - 1 : -1;
    lua_pop(L, 1);
  }
  mcl_lua_check(L, mcl_model_add_node(m, op, name, attributes, count, inputs, &value));
  return push_value(L, value);
}

static int add_output(lua_State *L) {
  mcl_model *m = mcl_lua_model(L, 1);
  mcl_lua_check(L, mcl_model_add_output(m, (int)mcl_lua_integer(L, 2, "value", 1, m->value_count) - 1));
  return 0;
}

/* m:value_shape(value): for builders that need the shape of what they made */
static int value_shape(lua_State *L) {
  mcl_model *m = mcl_lua_model(L, 1);
  mcl_lua_push_shape(L, m->values[mcl_lua_integer(L, 2, "value", 1, m->value_count) - 1].shape);
  return 1;
}

/* ---- Looking ---- */

static void set_string(lua_State *L, const char *key, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

static void set_number(lua_State *L, const char *key, int64_t value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, key);
}

static int64_t node_multiply_adds(const mcl_model *m, const mcl_node *node) {
  mcl_shape in[MCL_MAX_INPUTS] = {0}, out[2] = {0};
  if (!node->op->multiply_adds) return 0;
  for (int i = 0; i < node->inputs; i++) {
    if (node->input[i] < 0) continue;
    in[i] = m->values[node->input[i]].shape;
    if (in[i].rank && in[i].dim[0] < 0) in[i].dim[0] = 1;
  }
  for (int i = 0; i < node->outputs; i++) {
    out[i] = m->values[node->output[i]].shape;
    if (out[i].rank && out[i].dim[0] < 0) out[i].dim[0] = 1;
  }
  return node->op->multiply_adds(node, in, out);
}

/* Sets `key` to the number of the weight that input i is; nothing where it is none, or a state. */
static void set_weight(lua_State *L, const char *key, const mcl_model *m, const mcl_node *node, int i) {
  if (i >= node->inputs || node->input[i] < 0) return;
  int weight = m->values[node->input[i]].weight;
  if (weight < 0 || m->weights[weight].is_state) return;
  set_number(L, key, weight + 1);
}

static void push_attributes(lua_State *L, const mcl_node *node) {
  lua_newtable(L);
  for (int i = 0; i < mcl_op_attributes(node->op); i++) {
    const mcl_attribute_spec *spec = &node->op->attributes[i];
    const mcl_attribute *attribute = &node->attribute[i];
    if (spec->type == MCL_ATTRIBUTE_FLOAT) {
      lua_pushnumber(L, attribute->number);
    } else if (spec->type == MCL_ATTRIBUTE_INT) {
      lua_pushinteger(L, attribute->ints[0]);
    } else {
      mcl_lua_push_shape(L, mcl_shape_of(attribute->count, attribute->ints));
    }
    lua_setfield(L, -2, spec->name);
  }
}

static void push_node(lua_State *L, const mcl_model *m, int number) {
  const mcl_node copy = m->nodes[number],
                 *node = &copy; /* finalisers that run meanwhile may add nodes, which moves them */
  lua_createtable(L, 0, 8);
  set_string(L, "name", node->name);
  set_string(L, "op", node->op->name);
  lua_createtable(L, node->inputs, 0);
  for (int i = 0; i < node->inputs; i++) {
    if (node->input[i] < 0)
      lua_pushboolean(L, 0);
    else
      lua_pushstring(L, m->values[node->input[i]].name);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "inputs");
  mcl_lua_push_shape(L, m->values[node->output[0]].shape);
  lua_setfield(L, -2, "shape");
  push_attributes(L, node);
  lua_setfield(L, -2, "attributes");
  set_number(L, "multiply_adds", node_multiply_adds(m, node));
  int main_input = node->op->weight_input;
  if (main_input > 0) {
    set_weight(L, "weight", m, node, main_input);
    set_weight(L, "bias", m, node, main_input + 1);
  }
}

static int nodes(lua_State *L) {
  mcl_model *m = mcl_lua_model(L, 1);
  lua_createtable(L, m->node_count, 0);
  for (int i = 0; i < m->node_count; i++) {
    push_node(L, m, i);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* m:weights([brief]): brief leaves out what needs the weight to be decoded */
static int weights(lua_State *L) {
  mcl_model *m = mcl_lua_model(L, 1);
  bool brief = lua_toboolean(L, 2);
  lua_createtable(L, m->weight_count, 0);
  for (int i = 0; i < m->weight_count; i++) {
    char text[256];
    int64_t count;
    lua_createtable(L, 0, 8);
    set_string(L, "name", m->weights[i].name);
    mcl_lua_push_shape(L, m->weights[i].shape);
    lua_setfield(L, -2, "shape");
    lua_pushboolean(L, m->weights[i].is_state);
    lua_setfield(L, -2, "is_state");
    mcl_lua_check(L, mcl_shape_count(m->ctx, m->weights[i].shape, &count));
    set_number(L, "count", count);
    set_number(L, "file_bytes", (int64_t)m->weights[i].file_bytes);
    if (!brief) {
      mcl_lua_check(L, mcl_weight_load(m, i));
      mcl_repr_text(m->weights[i].repr, text, sizeof text);
      set_string(L, "representation", text);
      set_string(L, "kind", m->weights[i].repr->kind->name);
      set_number(L, "nonzeros", mcl_repr_nonzeros(m->weights[i].repr));
    }
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static int values(lua_State *L) {
  mcl_model *m = mcl_lua_model(L, 1);
  int i = mcl_lua_weight_index(L, 1, 2);
  mcl_tensor *borrowed, **copy = mcl_lua_push_tensor(L);
  mcl_lua_check(L, mcl_weight_values(m, i, &borrowed));
  mcl_lua_check(L, mcl_tensor_copy(borrowed, copy));
  (*copy)->read_only = true; /* what is written to it would be lost */
  return 1;
}

static int get_weight(lua_State *L) {
  mcl_model *m = mcl_lua_model(L, 1);
  int i = mcl_lua_weight_index(L, 1, 2);
  mcl_repr **box = mcl_lua_push_new(L, &mcl_lua_repr_class);
  mcl_lua_check(L, mcl_weight_take(m, i, box));
  return 1;
}

/* m:set(weight, representation or tensor) */
static int set_weight_repr(lua_State *L) {
  lua_settop(L, 3);
  mcl_model *m = mcl_lua_model(L, 1);
  int i = mcl_lua_weight_index(L, 1, 2);
  bool made = !mcl_lua_test(L, 3, &mcl_lua_repr_class);
  mcl_status status = mcl_weight_set(m, i, weight_argument(L, 3));
  drop_argument(L, 3, made);
  mcl_lua_check(L, status);
  return 0;
}

static void push_port(lua_State *L, const char *name, mcl_shape shape, lua_Integer i) {
  lua_createtable(L, 0, 2);
  set_string(L, "name", name);
  mcl_lua_push_shape(L, shape);
  lua_setfield(L, -2, "shape");
  lua_rawseti(L, -2, i);
}

static int inputs(lua_State *L) {
  mcl_model *m = mcl_lua_model(L, 1);
  lua_newtable(L);
  for (int i = 0; i < mcl_model_inputs(m); i++)
    push_port(L, mcl_model_input_name(m, i), mcl_model_input_shape(m, i), i + 1);
  return 1;
}

static int outputs(lua_State *L) {
  mcl_model *m = mcl_lua_model(L, 1);
  lua_newtable(L);
  for (int i = 0; i < mcl_model_outputs(m); i++)
    push_port(L, mcl_model_output_name(m, i), mcl_model_output_shape(m, i), i + 1);
  return 1;
}

static int parameters(lua_State *L) {
  lua_pushinteger(L, mcl_model_parameters(mcl_lua_model(L, 1)));
  return 1;
}

static int multiply_adds(lua_State *L) {
  lua_pushinteger(L, mcl_model_multiply_adds(mcl_lua_model(L, 1)));
  return 1;
}

static int model_index(lua_State *L) {
  mcl_model *m = mcl_lua_model(L, 1);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
  if (lua_type(L, 2) == LUA_TSTRING && !strcmp(lua_tostring(L, 2), "name")) {
    lua_pushstring(L, m->name);
    return 1;
  }
  return mcl_lua_fail(L, "a model has no \"%s\"", luaL_tolstring(L, 2, NULL));
}

static int model_tostring(lua_State *L) {
  mcl_model *m = mcl_lua_model(L, 1);
  lua_pushfstring(L, "model %s: %d nodes, %I parameters", m->name, m->node_count, (LUAI_UACINT)mcl_model_parameters(m));
  return 1;
}

/* ---- Copies and files ---- */

static int copy(lua_State *L) {
  mcl_model *m = mcl_lua_model(L, 1);
  mcl_lua_check(L, mcl_model_copy(m, push_model(L)));
  return 1;
}

static int load(lua_State *L) {
  mcl_lua_need_files(L, "load");
  mcl_context *ctx = mcl_lua_ctx(L);
  const char *path = mcl_lua_string(L, 1, "path");
  mcl_lua_check(L, mcl_load_model(ctx, path, push_model(L)));
  return 1;
}

/* {zstd=level, coder=name, dense=, keep=, portable=} at arg, or nothing. Pushes the coder's name, so that it stays alive. */
static mcl_artifact_options artifact_options(lua_State *L, int arg) {
  mcl_artifact_options options = {0};
  if (lua_isnoneornil(L, arg)) return options;
  if (!lua_istable(L, arg)) mcl_lua_bad(L, arg, "a table of options");
  options.zstd_level = (int)mcl_lua_field_integer(L, arg, "zstd", 0, 0, 22);
  options.keep = mcl_lua_field_boolean(L, arg, "keep", false);
  options.dense = mcl_lua_field_boolean(L, arg, "dense", options.keep);
  options.portable = mcl_lua_field_boolean(L, arg, "portable", false);
  options.coder = mcl_lua_field_string(L, arg, "coder", NULL);
  return options;
}

/* m:save(path[, options]): the format by the path's extension */
static int save(lua_State *L) {
  mcl_lua_need_files(L, "save");
  mcl_model *m = mcl_lua_model(L, 1);
  const char *path = mcl_lua_string(L, 2, "path");
  mcl_artifact_options options = artifact_options(L, 3);
  mcl_lua_check(L, mcl_save_model(m, path, &options));
  return 0;
}

/* m:size([options]) -> exact bytes of the .mcl file */
static int size(lua_State *L) {
  mcl_model *m = mcl_lua_model(L, 1);
  mcl_artifact_options options = artifact_options(L, 2);
  size_t bytes;
  mcl_lua_check(L, mcl_artifact_size(m, &options, &bytes));
  lua_pushinteger(L, (lua_Integer)bytes);
  return 1;
}

static const luaL_Reg methods[] = {{"add_input", add_input},
                                   {"add_weight", add_weight},
                                   {"add_node", add_node},
                                   {"add_output", add_output},
                                   {"value_shape", value_shape},
                                   {"nodes", nodes},
                                   {"weights", weights},
                                   {"values", values},
                                   {"set_values", set_weight_repr},
                                   {"get", get_weight},
                                   {"set", set_weight_repr},
                                   {"inputs", inputs},
                                   {"outputs", outputs},
                                   {"parameters", parameters},
                                   {"multiply_adds", multiply_adds},
                                   {"copy", copy},
                                   {"save", save},
                                   {"size", size},
                                   {"fit", mcl_lua_model_fit},
                                   {"run", mcl_lua_model_run},
                                   {"evaluate", mcl_lua_model_evaluate},
                                   {"calibrate", mcl_lua_model_calibrate},
                                   {"check_gradients", mcl_lua_model_check_gradients},
                                   {NULL, NULL}};
static const luaL_Reg meta[] = {{"__tostring", model_tostring}, {NULL, NULL}};
const mcl_lua_class mcl_lua_model_class = {"model", release, methods, meta, model_index};

void mcl_lua_open_model(lua_State *L) {
  static const luaL_Reg functions[] = {{"model", new_model}, {"load", load}, {NULL, NULL}};
  mcl_lua_class_register(L, &mcl_lua_model_class);
  luaL_setfuncs(L, functions, 0);
}
