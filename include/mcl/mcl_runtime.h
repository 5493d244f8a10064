/* mcl_runtime.h: the runtime alone. It opens artifacts, decodes their weights and infers; it needs neither
 * Lua nor BLAS. The engine's mcl.h includes this file.
 *
 * Conventions, here and in mcl.h:
 *  - A function that can fail returns mcl_status; the context holds the message of the last failure.
 *  - What a function named _new, _open or _load hands out is the caller's, to be given to its _free or _release.
 *  - Tensors are reference-counted: _retain adds a reference, _release drops one; the last frees.
 *  - Sizes are in bytes where a name says so, otherwise in elements. Shapes are row-major: x[batch, in].
 *  - A context, and all that was made from it, is used by one thread at a time; mcl_context_cancel alone may be
 *    called from any thread or signal handler. Different contexts are independent of each other, also where one is
 *    used in a callback or a chunk of another's work.
 *  - A child of fork may go on with the contexts that it inherits, where no call was running in them: they take threads
 *    of their own there. */
#ifndef MCL_RUNTIME_H
#define MCL_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MCL_VERSION_MAJOR 0
#define MCL_VERSION_MINOR 1
#define MCL_VERSION_PATCH 0
#define MCL_VERSION "0.1.0"

#define MCL_MAX_RANK 8 /* dimensions of a tensor, at most */

/* ---- Status ---------------------------------------------------------------------------------------------- */

typedef enum mcl_status {
  MCL_OK = 0,
  MCL_ERROR_MEMORY,      /* the allocator refused, or the context's memory limit was met */
  MCL_ERROR_ARGUMENT,    /* the caller asked for what cannot be: a wrong shape, an option out of range */
  MCL_ERROR_IO,          /* the system refused to read, write or rename a file */
  MCL_ERROR_FORMAT,      /* a file is damaged, truncated or not of the kind it claims */
  MCL_ERROR_UNSUPPORTED, /* a well-formed request for what this build does not do */
  MCL_ERROR_NUMERIC,     /* NaN or infinity where a number is needed; a factorisation that did not converge */
  MCL_ERROR_BUDGET,      /* no plan fits the budget */
  MCL_ERROR_CANCELLED    /* the host, or Ctrl-C, asked to stop */
} mcl_status;

/* ---- Context --------------------------------------------------------------------------------------------- */

typedef struct mcl_context mcl_context;

typedef enum mcl_log_level { MCL_LOG_ERROR = 0, MCL_LOG_WARNING, MCL_LOG_INFO, MCL_LOG_DEBUG } mcl_log_level;

/* A host's wishes. All zero is the default. `user` is handed back to every callback. */
typedef struct mcl_options {
  void *user;
  /* Memory. allocate returns memory aligned to `alignment` (a power of two, at most 64), or NULL; release gets
   * the size that was asked for. NULL: the C library's. */
  void *(*allocate)(void *user, size_t size, size_t alignment);
  void (*release)(void *user, void *memory, size_t size);
  size_t memory_limit; /* bytes the context may hold at once; 0: no limit */
  int threads;         /* 0: one per processor that the process may use */
  uint64_t seed;       /* of every random number; 0 is a seed like any other */
  void (*log)(void *user, mcl_log_level level, const char *line); /* NULL: silence */
  /* Work of known length reports itself here, at most some ten times a second. done and total count `unit`. */
  void (*progress)(void *user, const char *task, double done, double total, const char *unit);
  bool (*cancelled)(void *user); /* asked at least every 100 ms; true stops the work with MCL_ERROR_CANCELLED */
  /* Bytes of values, as f32, that an artifact may say it stands for: a file of 60 bytes can say anything. One that says more
   * is refused when it is opened, and when it is written. 0: 1 GiB, or 4096 times its size where that is more. */
  size_t dense_limit;
} mcl_options;

/* options may be NULL. The only function whose failure has no message. */
mcl_status mcl_context_new(const mcl_options *options, mcl_context **out);
void mcl_context_free(mcl_context *ctx); /* NULL is fine; everything made from ctx must be gone */

/* The message of the last failure: what, where, and what to do. Valid until the next failure. */
const char *mcl_context_message(const mcl_context *ctx);

/* Stops running work; safe in a signal handler. The flag stays until mcl_context_resume. */
void mcl_context_cancel(mcl_context *ctx);
void mcl_context_resume(mcl_context *ctx);

size_t mcl_context_memory(const mcl_context *ctx);      /* bytes held now */
size_t mcl_context_memory_peak(const mcl_context *ctx); /* and at most, so far */
int mcl_context_threads(const mcl_context *ctx);
const char *mcl_status_name(mcl_status status); /* "format", "budget" …; never NULL */

/* ---- Tensors --------------------------------------------------------------------------------------------- */

/* f32 is the type of arithmetic; the others are held and converted. The values are part of the file format. */
typedef enum mcl_dtype {
  MCL_F32 = 0,
  MCL_F16,
  MCL_BF16,
  MCL_F64,
  MCL_I8,
  MCL_I16,
  MCL_I32,
  MCL_I64,
  MCL_U8,
  MCL_BOOL,
  MCL_DTYPE_COUNT
} mcl_dtype;

size_t mcl_dtype_size(mcl_dtype dtype); /* bytes an element */
const char *mcl_dtype_name(mcl_dtype dtype);

typedef struct mcl_shape {
  int rank; /* 0: a scalar */
  int64_t dim[MCL_MAX_RANK];
} mcl_shape;

typedef struct mcl_tensor mcl_tensor;

/* A new tensor of zeros. MCL_ERROR_ARGUMENT on a negative dimension or an overflow of the count. */
mcl_status mcl_tensor_new(mcl_context *ctx, mcl_dtype dtype, mcl_shape shape, mcl_tensor **out);
/* A tensor over the caller's memory, which must outlive it and be aligned for its elements. */
mcl_status mcl_tensor_wrap(mcl_context *ctx, mcl_dtype dtype, mcl_shape shape, void *data, mcl_tensor **out);
mcl_tensor *mcl_tensor_retain(mcl_tensor *t);
void mcl_tensor_release(mcl_tensor *t); /* NULL is fine */

mcl_dtype mcl_tensor_dtype(const mcl_tensor *t);
mcl_shape mcl_tensor_shape(const mcl_tensor *t);
int64_t mcl_tensor_count(const mcl_tensor *t); /* elements */
void *mcl_tensor_data(mcl_tensor *t);          /* count × dtype size bytes, row-major */

/* ---- Models ---------------------------------------------------------------------------------------------- */

/* A graph with its weights. Weights of an artifact are decoded when first needed. */
typedef struct mcl_model mcl_model;

/* Opens an artifact (.mcl) or a container of dense weights (.bin). Header, directory and graph are checked; streams are
 * checked as they are decoded. A file of up to 16 MiB is read into the context's memory; a larger one is mapped, and then
 * the host owes that nobody shortens it while the model lives: the system ends a process (SIGBUS) that reads what is gone.
 * Put a new file in its place by rename, as mcl does, or open it by mcl_model_open_memory. */
mcl_status mcl_model_open(mcl_context *ctx, const char *path, mcl_model **out);
/* The same from memory, which must outlive the model. */
mcl_status mcl_model_open_memory(mcl_context *ctx, const void *data, size_t size_bytes, mcl_model **out);
void mcl_model_free(mcl_model *model); /* NULL is fine */

/* Inputs and outputs are numbered from 0; of a number that there is not, the name is NULL, the shape a scalar's and the
 * memory NULL. A file of weights alone has none. */
int mcl_model_inputs(const mcl_model *model);
int mcl_model_outputs(const mcl_model *model);
const char *mcl_model_input_name(const mcl_model *model, int index);
const char *mcl_model_output_name(const mcl_model *model, int index);
mcl_shape mcl_model_input_shape(const mcl_model *model, int index); /* dim[0] is -1 where it is the batch */
mcl_shape mcl_model_output_shape(const mcl_model *model, int index);

/* Weights are numbered from 0 in the order of the file; running statistics of normalisations are among them. Of a number
 * that there is not, the name is NULL and the shape a scalar's. */
int mcl_model_weights(const mcl_model *model);
const char *mcl_model_weight_name(const mcl_model *model, int index); /* "conv1.weight" */
mcl_shape mcl_model_weight_shape(const mcl_model *model, int index);
int mcl_model_weight_index(const mcl_model *model, const char *name); /* -1: there is none of this name */
/* One weight's values, row-major, to the caller's memory of `count` floats, which is the product of its shape. Its streams
 * alone are checked and decoded; a weight that was still coded stays so, and the memory that it took is free again. */
mcl_status mcl_model_weight_read(mcl_model *model, int index, float *values, size_t count);
/* The same, lent: decoded once, and the model's as long as it lives. Not to be written. */
mcl_status mcl_model_weight_values(mcl_model *model, int index, const float **values);

/* Decodes weights that are still coded until time_us has passed (0: until all are, on all threads). Sets *finished. At least
 * one step is done each call, so repeated calls always end; a call passes its time by at most one: 256 Ki elements of a
 * stream or of positions, a megabyte of a checksum (each under some 2 ms), or the copying of raw values that the file
 * does not hold aligned (a .bin does). */
mcl_status mcl_model_decode(mcl_model *model, uint64_t time_us, bool *finished);

/* ---- Inference ------------------------------------------------------------------------------------------- */

/* A plan to run a model on batches of one size: all memory is taken here, none by mcl_session_run. Making one decodes what is
 * still coded, and expands each weight to the form that runs quickest: up to a copy of it as f32, in one go, at some ten
 * milliseconds for ten million weights. A host that may not wait makes it where it may: before the first frame. */
typedef struct mcl_session mcl_session;

mcl_status mcl_session_new(mcl_model *model, int64_t batch, mcl_session **out);
void mcl_session_free(mcl_session *session);                      /* NULL is fine; before its model */
float *mcl_session_input(mcl_session *session, int index);        /* to be filled by the caller */
const float *mcl_session_output(mcl_session *session, int index); /* valid until the next run */
mcl_status mcl_session_run(mcl_session *session);

#ifdef __cplusplus
}
#endif
#endif
