/* What the files of this folder share: the state's record, errors that point at the recipe's line, and userdata
 * that hold one C object each. A binding is thin: check arguments, call C once, turn the status into a Lua error.
 *
 * Order matters for leaks: the userdata is made first, empty, and C writes its result into it; so a Lua error raised
 * later (out of memory, say) finds the object owned. */
#ifndef MCL_LUA_BINDING_H
#define MCL_LUA_BINDING_H

#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>

#include "base/context.h"
#include "compress/compress.h"
#include "tensor/expression.h"
#include "tensor/tensor.h"

/* ---- The record of a state (state.c) ---- */

typedef struct mcl_lua {
  mcl_context *ctx; /* NULL until first needed */
  bool owns_context;
  pthread_t owner;       /* of the context that is owned: workers do not call Lua */
  bool sandboxed, files; /* files: mcl's functions may touch them */
  lua_State *main;       /* for references */
  lua_State *L;          /* the coroutine whose call into C is under way: callbacks run there */
  int coroutine;         /* reference to it, so that it is not collected */
  bool has_error;        /* a callback has raised an error, which waits to be raised anew */
  int error;             /* reference to that error */
  bool stopped_by_error; /* the work was ended to carry that error out */
  bool is_reporting;     /* log, progress or cancelled is running: any model may be in use by C */
  struct {
    mcl_status status;
    char text[240]; /* how the message began */
  } failures[8];    /* of C, the latest ones, in a ring */
  unsigned failure_count;
  int log, progress, cancelled; /* references to Lua functions, or LUA_NOREF */
  mcl_options wishes;           /* for a context that is yet to be made */
  size_t heavy_bytes;           /* collect garbage when the context holds more */
  uint64_t random_calls;        /* streams of random tensors made without a seed */
  /* limits.c */
  bool limited, spent; /* instructions_left counts; it is used up */
  int64_t instructions_left, instructions_used;
  bool guarded;               /* what catches errors is guard.c's: a stop passes through it */
  bool graced;                /* elsewhere: whoever caught a stop has had time to resume */
  bool stopping;              /* a stop was raised, and nothing has run since */
  bool killed;                /* a stop has ended coroutines in the midst: theirs are not closed */
  int closes;                 /* of coroutines, within one another */
  lua_State *running;         /* the coroutine that runs, as far as guard.c knows */
  int heavy_class;            /* log2 of the largest block over LIGHT_BLOCK */
  struct mcl_lua **allocator; /* where the allocator of a sandbox finds this record */
} mcl_lua;

mcl_lua *mcl_lua_record(lua_State *L); /* NULL: the module is not in this state */
mcl_lua *mcl_lua_of(lua_State *L);     /* the record, its context made; an error where that fails, or after a stop */
mcl_lua *mcl_lua_of_stopped(lua_State *L);       /* the same after a stop too: for what asks about it, or ends it */
void mcl_lua_run_on(mcl_lua *lua, lua_State *L); /* sets lua->L */
mcl_context *mcl_lua_ctx(lua_State *L);
/* Creates the record; ctx NULL: one of its own, later. */
mcl_lua *mcl_lua_record_new(lua_State *L, mcl_context *ctx);
/* Collects garbage where C objects hold much memory that Lua's collector cannot see. */
void mcl_lua_relieve(lua_State *L);
void mcl_lua_need_files(lua_State *L, const char *what); /* an error in a sandbox */

/* ---- Errors ---- */

void mcl_lua_where(lua_State *L);                        /* pushes "recipe.lua:12: ", or "" */
int mcl_lua_fail(lua_State *L, const char *format, ...); /* an error at the recipe's line; never returns */
void mcl_lua_check(lua_State *L, mcl_status status);     /* an error unless MCL_OK */
/* For loops over what a caller gave: mcl_worked, its failure raised. Nothing that only C frees may be held. */
void mcl_lua_worked(lua_State *L, int64_t *work, int64_t steps);
int mcl_lua_bad(lua_State *L, int arg, const char *wanted); /* "argument 2: a tensor is wanted, got nil" */
/* A message handler: text stays, any other value becomes a line that says where it was raised, and what (raised.c). */
int mcl_lua_explain(lua_State *L);
/* Calls the function under n arguments for C code: an error of it is kept, and comes out of mcl_lua_check. Raises nothing,
 * whatever memory there is; and so must all that stands between C code and it. */
mcl_status mcl_lua_call(mcl_lua *lua, lua_State *L, int arguments, int results);
/* The status of a Lua error, from what lua_pcall returned and the error's text (NULL: it is none). Messages of C failures
 * are recognised in it, whatever Lua code has put around them; other errors are the caller's, MCL_ERROR_ARGUMENT. */
mcl_status mcl_lua_status_of(const mcl_lua *lua, int lua_status, const char *text);
void mcl_lua_remember(mcl_lua *lua, mcl_status status, const char *message); /* a failure that is raised as an error */

/* ---- Arguments. Tables are read as they are: no metamethod is asked, so no Lua code runs meanwhile. A table can change
 * all the same (weak entries go, finalisers run), so a length is read once, and every element is checked. ---- */

int64_t mcl_lua_integer(lua_State *L, int arg, const char *name, int64_t least, int64_t most);
double mcl_lua_number(lua_State *L, int arg, const char *name, double least, double most);
const char *mcl_lua_string(lua_State *L, int arg, const char *name);
int mcl_lua_field(lua_State *L, int arg, const char *key); /* pushes the field of the table at arg; returns its type */
/* Length of the list at arg, a table to be read by lua_rawgeti: 0 … most, or an error that begins with the name. */
int mcl_lua_list(lua_State *L, int arg, const char *name, int most);
/* Fields of the table at arg; the preset where absent. */
int64_t mcl_lua_field_integer(lua_State *L, int arg, const char *key, int64_t preset, int64_t least, int64_t most);
double mcl_lua_field_number(lua_State *L, int arg, const char *key, double preset, double least, double most);
bool mcl_lua_field_boolean(lua_State *L, int arg, const char *key, bool preset);
/* Left on the stack, so that it stays alive; NULL where absent. Pushes one value always. */
const char *mcl_lua_field_string(lua_State *L, int arg, const char *key, const char *preset);
/* The texts of the list at arg, ended by NULL; NULL where there is none. Two values are pushed, which keep them. */
const char **mcl_lua_push_texts(lua_State *L, int arg, const char *name);
/* The keys of the table at arg in the order of their bytes. Two values are pushed, which keep them. `rule` is the error
 * where a key is no string: "json: keys are strings". */
typedef struct mcl_lua_key {
  const char *text;
  size_t size;
} mcl_lua_key;
const mcl_lua_key *mcl_lua_push_keys(lua_State *L, int arg, const char *rule, int *count);
mcl_shape mcl_lua_shape(lua_State *L, int arg); /* from a table of integers, or one integer */
void mcl_lua_push_shape(lua_State *L, mcl_shape shape);

/* ---- Classes (class.c) ---- */

typedef struct mcl_lua_class {
  const char *name; /* "tensor" */
  void (*release)(mcl_context *ctx, void *object);
  const luaL_Reg *methods; /* NULL-ended */
  const luaL_Reg *meta;    /* __tostring and the like; NULL: none */
  lua_CFunction index;     /* fields besides methods: called with (object, key); the methods are its upvalue 1 */
} mcl_lua_class;

extern const mcl_lua_class mcl_lua_tensor_class, mcl_lua_expression_class, mcl_lua_model_class, mcl_lua_repr_class,
    mcl_lua_scheme_class, mcl_lua_statistics_class, mcl_lua_dataset_class;

void mcl_lua_class_register(lua_State *L, const mcl_lua_class *class);
void *mcl_lua_push_new(lua_State *L, const mcl_lua_class *class);      /* an empty one; returns void ** to fill */
void *mcl_lua_test(lua_State *L, int arg, const mcl_lua_class *class); /* the object, or NULL: another value */
void *mcl_lua_take(lua_State *L, int arg, const mcl_lua_class *class); /* the object, or an error */
const char *mcl_lua_type_name(lua_State *L, int arg);                  /* "tensor", "model", "nil" … */

/* ---- Tensors and expressions ---- */

/* The tensor at arg; an expression is evaluated, and its value takes the place at arg. */
mcl_tensor *mcl_lua_tensor(lua_State *L, int arg);
mcl_tensor **mcl_lua_push_tensor(lua_State *L); /* empty, to be filled */
/* Pushes a view of t that can be read only: what code of the user's is shown, but does not own. */
void mcl_lua_push_lent(lua_State *L, mcl_tensor *t);
/* Can the value at arg be an operand: a tensor, an expression, a number? */
bool mcl_lua_is_operand(lua_State *L, int arg);
/* A new reference. Raises no Lua error; the argument was checked before. */
mcl_status mcl_lua_operand(lua_State *L, int arg, mcl_expression **out);
mcl_dtype mcl_lua_dtype(lua_State *L, int arg);        /* from its name */
const luaL_Reg *mcl_lua_value_methods(void);           /* methods of tensors that expressions have too */
void mcl_lua_add_elementwise(lua_State *L, bool meta); /* into the table on the top of the stack */

/* ---- Representations ---- */

/* Pushes the dense representation of a copy of the tensor at arg: the user may write to that later. */
mcl_repr *mcl_lua_push_dense(lua_State *L, int arg);

/* ---- Models ---- */

struct mcl_model *mcl_lua_model(lua_State *L, int arg);
int mcl_lua_weight_index(lua_State *L, int model, int arg); /* of a weight by number or name: 0 … weight_count-1 */
int mcl_lua_model_run(lua_State *L);                        /* methods of model_run.c and fit.c */
int mcl_lua_model_evaluate(lua_State *L);
int mcl_lua_model_calibrate(lua_State *L);
int mcl_lua_model_check_gradients(lua_State *L);
int mcl_lua_model_fit(lua_State *L);

/* ---- Statistics (statistics.c) ---- */

unsigned mcl_lua_statistics_flags(lua_State *L, int arg); /* from a list of names, or nil: none */
void mcl_lua_push_statistic_names(lua_State *L, unsigned flags);
/* A table of the fields for a criterion, each broadcastable to the weight's matrix view; an absent one is an error. */
void mcl_lua_push_statistics_view(lua_State *L, const mcl_statistics *statistics);

/* ---- Text from outside (text.c) ---- */

/* The length of the UTF-8 character at text, of size ≥ 1 bytes, and its code; 0 where there is none. */
size_t mcl_lua_utf8(const char *text, size_t size, uint32_t *code);
bool mcl_lua_is_control(uint32_t code); /* a terminal would obey it */

/* ---- The parts of mcl.core: each adds its functions to the table on the top of the stack ---- */

void mcl_lua_open_tensor(lua_State *L);
void mcl_lua_open_linalg(lua_State *L);
void mcl_lua_open_model(lua_State *L);
void mcl_lua_open_repr(lua_State *L);
void mcl_lua_open_scheme(lua_State *L);
void mcl_lua_open_statistics(lua_State *L);
void mcl_lua_open_dataset(lua_State *L);
void mcl_lua_open_files(lua_State *L);
void mcl_lua_open_json(lua_State *L);
void mcl_lua_open_text(lua_State *L);
void mcl_lua_open_system(lua_State *L);

/* ---- Loading (loader.c, module.c) ---- */

/* The source of an embedded file, or NULL. Pushes a string that keeps it alive, always. */
const char *mcl_lua_push_embedded(lua_State *L, const char *name, size_t *size);
void mcl_lua_add_searcher(lua_State *L);
int mcl_lua_open_core(lua_State *L); /* for package.preload["mcl.core"] */

#endif
