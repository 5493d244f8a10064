/* mcl.h: the engine. It is the runtime (mcl_runtime.h, included here) and Lua: a program embeds the engine by running
 * recipes, from files or from strings, in a Lua state of its own or in a fresh sandboxed one.
 *
 *     mcl_context *ctx;
 *     mcl_engine_new(NULL, &ctx);
 *     mcl_recipe_run run = {.source = text, .model_path = "lenet5.onnx", .output_path = "lenet5.mcl"};
 *     if (mcl_run_recipe(ctx, NULL, &run)) fprintf(stderr, "%s\n", mcl_context_message(ctx));
 *     mcl_context_free(ctx);
 *
 * Nothing here prints, exits, sets a signal handler or a locale. Link with libmcl and with Lua 5.4. */
#ifndef MCL_H
#define MCL_H

#include <mcl/mcl_runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lua_State;

/* ---- The engine ------------------------------------------------------------------------------------------ */

/* A context for the engine: as mcl_context_new makes it. To be freed by mcl_context_free. */
mcl_status mcl_engine_new(const mcl_options *options, mcl_context **out);

/* ---- Recipes --------------------------------------------------------------------------------------------- */

/* What to run, on what. Zero is the preset of every field but source. Nothing is kept after the call. */
typedef struct mcl_recipe_run {
  const char *source;      /* the recipe's text: Lua that returns mcl.recipe{…}; never bytecode */
  const char *name;        /* for messages; NULL: "recipe" */
  const char *model_path;  /* .onnx, .mcl or .bin; or give `model` */
  const char *output_path; /* where the compressed model goes, by extension; NULL: nowhere */
  const char *const *set;  /* options as "key=value", ended by NULL; or NULL: the recipe's presets */
  mcl_model *model;        /* instead of model_path; the recipe changes it in place, it stays the caller's */
  mcl_tensor *x, *y;       /* data to fit and calibrate by: x[n, …] u8 or f32, y[n] labels; or NULL */
  double scale, offset;    /* x as f32 = raw × scale + offset; scale 0 stands for 1 */
  uint64_t seed;           /* of the recipe's random choices */
  /* results */
  size_t size_bytes;    /* exact size of the compressed model as a .mcl file */
  int64_t instructions; /* Lua instructions that were counted, in a limited state */
} mcl_recipe_run;

/* Runs a recipe. L: a state that mcl was registered into with ctx; NULL: a sandboxed one for this call. A Lua error
 * becomes a status, its text the context's message ("recipe:12: …"): what failed in C keeps its status, through errors
 * that the recipe catches and raises anew too; Lua's memory that runs out is MCL_ERROR_MEMORY; all else is
 * MCL_ERROR_ARGUMENT. A cancel (mcl_context_cancel from any thread, options.cancelled) stops it within 100 ms, Lua loops
 * included, with MCL_ERROR_CANCELLED; the flag stays until mcl_context_resume. The file at
 * output_path is written whole or not at all. */
mcl_status mcl_run_recipe(mcl_context *ctx, struct lua_State *L, mcl_recipe_run *run);

/* ---- Lua states ------------------------------------------------------------------------------------------ */

/* For `require "mcl"` in a stock Lua 5.4: the module. It makes a context of its own when first needed. */
int luaopen_mcl(struct lua_State *L);

/* Puts the module into the host's own state: `require "mcl"` finds it there, working with the host's context, which must
 * outlive the state. Sets no global, no hook. Once a state. */
mcl_status mcl_lua_register(struct lua_State *L, mcl_context *ctx);

/* The context of a state that has the module, made now if it was not yet. */
mcl_status mcl_lua_context(struct lua_State *L, mcl_context **out);

/* Lets a cancel stop pure Lua code in this state too: a count hook that asks every few thousand instructions.
 * mcl_run_recipe does so for its own duration. Replaces a count hook that is there.
 *
 * The standard library of such a state is the host's, and so is what it lets through. Code that catches the error of a
 * cancel has a few thousand instructions, time to call mcl.core's resume; after them every instruction raises, until the
 * context is resumed. What is not stopped there: a handler given to xpcall, a __close handler or a finaliser that loops;
 * coroutines that each run fewer than a few thousand instructions; a call into Lua's C library that takes long.
 * mcl_lua_guard mends all but finalisers. */
void mcl_lua_watch(struct lua_State *L);

/* Makes a cancel final in a state that has the module: replaces pcall, xpcall, load, coroutine.resume, wrap and close, and
 * what loops in C in table and string, by functions that do the same and that a cancel ends. The error of a cancel is
 * then not given to the code that catches errors, but raised again until it is out of Lua: in the host's lua_pcall.
 * Nothing runs in the state until mcl_context_resume. Pure Lua code needs mcl_lua_watch beside this. MCL_ERROR_ARGUMENT:
 * the state does not have the module; MCL_ERROR_MEMORY: it has no room. */
mcl_status mcl_lua_guard(struct lua_State *L);

/* ---- Advanced: sandboxed states --------------------------------------------------------------------------- */

/* Zero: no limit, and no files. */
typedef struct mcl_lua_limits {
  /* Of Lua's own memory, which counts against the context's memory_limit too, as tensors do. */
  size_t memory_bytes;
  /* Of Lua's virtual machine, over the state's whole life; C functions charge for what they loop. */
  uint64_t instructions;
  bool files; /* mcl's functions may read and write files; io and os stay away even then */
} mcl_lua_limits;

/* A fresh state for code that is not trusted: base functions, string, table, math, utf8, coroutine and mcl; no io, no
 * os beyond time and clock, no debug, no bytecode, no finalisers, no other modules. limits may be NULL. To be closed by
 * lua_close, before ctx is freed.
 *
 * It is guarded and watched: within 100 ms of a cancel everything has returned to the host's lua_pcall, and after the last
 * instruction nothing runs again, whatever the code catches. A string, and a new table of named fields, takes 32 MiB at
 * most, a text for load 256 KiB. What is not cut: a full pass of Lua's collector, some 2 ms a MiB of small objects, so
 * a limit on memory is a limit on that too. */
mcl_status mcl_lua_new_sandbox(mcl_context *ctx, const mcl_lua_limits *limits, struct lua_State **out);

#ifdef __cplusplus
}
#endif
#endif
