/* The engine's half of the representations: fitting values, writing streams, exact sizes, training under them. */
#ifndef MCL_REPR_FIT_H
#define MCL_REPR_FIT_H

#include "repr/repr.h"

/* ---- Fitting: values (f32, any shape) → representation. `importance`: of the values' shape or NULL (all 1), not
 * negative; the error that is minimised is Σ importance · (value − fitted)². ---- */

/* The values rounded to another float dtype. */
mcl_status mcl_dense_fit(mcl_tensor *values, mcl_dtype dtype, mcl_repr **out);
/* Keeps the entries whose bit is set in mask (little-endian words, as mcl_expression_mask); the values stay dense f32. */
mcl_status mcl_sparse_fit(mcl_tensor *values, const uint64_t *mask, mcl_repr **out);
/* The same positions with other values (of shape {nonzeros}). */
mcl_status mcl_sparse_with(const mcl_sparse *sparse, mcl_repr *values, mcl_repr **out);

typedef enum mcl_codebook_init {
  MCL_CODEBOOK_EXACT = 0, /* one-dimensional k-means by dynamic programming (Wang & Song 2011; Grønlund et al. 2017) */
  MCL_CODEBOOK_LINEAR,    /* the three of Han et al. 2016, then Lloyd's iterations */
  MCL_CODEBOOK_DENSITY,
  MCL_CODEBOOK_RANDOM
} mcl_codebook_init;

typedef struct mcl_palette_options {
  int bits;    /* 1 … 8; entries = 2^bits, fewer where there are fewer distinct values */
  int entries; /* instead of bits: 1 … 256; 0: from bits */
  mcl_codebook_init init;
  int iterations; /* of Lloyd after an init that is not exact; 0: 100, or until nothing moves */
  uint64_t seed;
  bool half;     /* entries rounded to f16, which halves the codebook's size */
  bool weighted; /* read by the scheme: importance from the statistics (Fisher diagonal, else E[x²] of the column) */
} mcl_palette_options;
mcl_status mcl_palette_fit(mcl_tensor *values, mcl_tensor *importance, const mcl_palette_options *options,
                           mcl_repr **out);

typedef struct mcl_affine_options {
  int bits;      /* 1 … 8 */
  int64_t group; /* values a scale; 0: per tensor; -1: per channel (row) */
  bool asymmetric;
  bool minimise; /* search the clipping that minimises the squared error; false: the full range */
  bool half;     /* scales rounded to f16 */
  bool weighted; /* as in mcl_palette_options */
} mcl_affine_options;
mcl_status mcl_affine_fit(mcl_tensor *values, mcl_tensor *importance, const mcl_affine_options *options,
                          mcl_repr **out);

typedef struct mcl_lowrank_options {
  int64_t rank;     /* 1 … min(rows, cols); 0: from energy */
  double energy;    /* the least share of Σ s² kept, 0 … 1 */
  mcl_tensor *gram; /* input Gram matrix [cols, cols] or NULL: minimises the error of the layer's output instead */
  uint64_t seed;
} mcl_lowrank_options;
mcl_status mcl_lowrank_fit(mcl_tensor *values, const mcl_lowrank_options *options, mcl_repr **out);
mcl_status mcl_lowrank_new(mcl_repr *left, mcl_repr *right, mcl_shape shape, mcl_repr **out);
mcl_status mcl_sum_new(mcl_repr *const *parts, int count, mcl_repr **out);

/* ---- Streams and sizes ---- */

typedef struct mcl_repr_writer mcl_repr_writer;
struct mcl_repr_writer {
  mcl_context *ctx;
  mcl_buffer header;      /* parameters of the tree, preorder */
  const mcl_coder *coder; /* wanted for symbol streams; NULL: the smallest */
  bool size_only;         /* streams are measured, not coded */
  mcl_buffer streams;     /* coded streams, one after another (empty where size_only) */
  size_t *stream_size;    /* of each */
  int stream_count;
  size_t total; /* Σ stream_size */
};
mcl_status mcl_repr_write_begin(mcl_context *ctx, const mcl_coder *coder, bool size_only, mcl_repr_writer *writer);
mcl_status mcl_repr_write_stream(mcl_repr_writer *writer, const mcl_stream *stream);
mcl_status mcl_repr_write(const mcl_repr *repr, mcl_repr_writer *writer); /* u8 kind, then the kind's write */
void mcl_repr_write_end(mcl_repr_writer *writer);

/* Exact size of header and streams together. */
mcl_status mcl_repr_bytes(const mcl_repr *repr, const mcl_coder *coder, size_t *out);

/* ---- Training under a representation ---- */

/* One run of free parameters: dense values, the kept values of a sparse one, a codebook, U and V. */
typedef struct mcl_parameter {
  float *values, *gradient; /* [count] */
  int64_t count;
} mcl_parameter;

typedef struct mcl_trained_repr mcl_trained_repr;

/* repr must have a single owner (mcl_repr_unshare). Affine parts keep latent values until the end (straight-through). */
mcl_status mcl_trained_new(mcl_repr *repr, mcl_trained_repr **out);
void mcl_trained_free(mcl_trained_repr *trained);                           /* NULL is fine */
int mcl_trained_parameters(mcl_trained_repr *trained, mcl_parameter **out); /* the list is trained's */
/* Tells where push and pull will find the dense values and gradient ([rows, cols] each), which must outlive trained. Of
 * a dense f32 representation the parameters then are those two arrays, and push and pull cost nothing; a sparse one
 * writes its kept entries alone. Fills `dense`. Ask for the parameters after this. Optional. */
mcl_status mcl_trained_bind(mcl_trained_repr *trained, float *dense, float *gradient);
/* Dense gradient [rows, cols] → gradients of the parameters (overwritten): masked, summed per codebook entry, U and V … */
mcl_status mcl_trained_pull(mcl_trained_repr *trained, const float *gradient);
/* After the parameters changed: projects (affine codes anew) and decodes to dense[rows, cols]. */
mcl_status mcl_trained_push(mcl_trained_repr *trained, float *dense);
/* What a push remembers from one to the next besides the parameters (an affine's scales, which are refitted from those
 * before): numbers to be saved with the parameters. Returns how many; NULL: only that. */
int64_t mcl_trained_memory(const mcl_trained_repr *trained, float *out);
/* After parameters were put back, with the memory of then: dense becomes what the last push before the saving made, and
 * training goes on as it would have. */
mcl_status mcl_trained_recall(mcl_trained_repr *trained, const float *memory, float *dense);
/* The representation itself takes the values that were last pushed: at the end of an epoch, before it is read, coded or
 * copied. mcl_trained_free does not. */
mcl_status mcl_trained_store(mcl_trained_repr *trained);
mcl_status mcl_repr_unshare(mcl_repr **repr); /* a deep copy where it has other owners */

/* The engine's half of a kind; rows in repr_fit.c, by id. */
typedef struct mcl_repr_fit_kind {
  uint8_t id;
  mcl_status (*write)(const mcl_repr *repr, mcl_repr_writer *writer);
  mcl_status (*copy)(const mcl_repr *repr, mcl_repr **out);
  mcl_status (*train)(mcl_repr *repr, mcl_trained_repr **out);
} mcl_repr_fit_kind;

#endif
