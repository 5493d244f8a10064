/* Training under a representation, from within: what a kind gives to its half, and the tree that mirrors the
 * representation's. Leaves own one run of parameters; the others bind their parts to buffers of their own and move
 * values and gradients between those and the dense form. */
#ifndef MCL_REPR_TRAINED_H
#define MCL_REPR_TRAINED_H

#include "repr/fit.h"

typedef struct mcl_trained_kind {
  mcl_status (*bind)(mcl_trained_repr *t); /* dense and gradient have just been set; NULL: nothing to do */
  mcl_status (*pull)(mcl_trained_repr *t, const float *gradient);
  mcl_status (*push)(mcl_trained_repr *t, float *dense);
  void (*store)(mcl_trained_repr *t); /* of this node alone; NULL: push has done it */
  /* What push remembers, of this node alone: copied out (NULL: only counted), and back in. NULL: nothing. */
  int64_t (*memory)(const mcl_trained_repr *t, float *out);
  void (*remember)(mcl_trained_repr *t, const float *memory);
} mcl_trained_kind;

struct mcl_trained_repr {
  const mcl_trained_kind *kind;
  mcl_context *ctx;
  mcl_repr *repr;                            /* retained */
  float *dense, *gradient;                   /* bound, or NULL */
  mcl_parameter own;                         /* a leaf's; count 0: none */
  float *part_values[MCL_REPR_MOST_PARTS];   /* dense form of each part, freed with this */
  float *part_gradient[MCL_REPR_MOST_PARTS]; /* its gradient, likewise */
  float *unit; /* of each of a leaf's parameters, where they are not what they stand for; freed with this */
  float *latent, *own_memory; /* a leaf's values and gradient where they are neither bound nor the representation's */
  mcl_trained_repr *part[MCL_REPR_MOST_PARTS];
  int parts;
  bool is_recalling;   /* push leaves what it remembers as it is */
  mcl_parameter *list; /* of the whole tree, made when asked for */
  int list_count;
};

mcl_status mcl_trained_begin(mcl_repr *repr, const mcl_trained_kind *kind, mcl_trained_repr **out);
/* Adds a part with buffers of its own for values and gradient, bound to them. */
mcl_status mcl_trained_add_part(mcl_trained_repr *t, mcl_repr *part);
/* A leaf's parameters: `values` as they are, or NULL for new memory; the gradient is new memory. */
mcl_status mcl_trained_own(mcl_trained_repr *t, float *values, int64_t count);

mcl_status mcl_trained_list(mcl_trained_repr *t); /* makes room for the list of parameters */

extern const mcl_repr_fit_kind mcl_dense_fit_kind, mcl_sparse_fit_kind, mcl_palette_fit_kind, mcl_affine_fit_kind,
    mcl_lowrank_fit_kind, mcl_sum_fit_kind;
/* Floats as a plain stream: f32, or f16 where they are f16 numbers already. */
mcl_status mcl_repr_write_floats(mcl_repr_writer *writer, const float *values, size_t count, bool half);
/* What mcl_repr_write_stream would add. */
mcl_status mcl_repr_stream_size(const mcl_repr_writer *writer, const mcl_stream *stream, size_t *out);
mcl_status mcl_sparse_write_positions(const mcl_sparse *sparse, mcl_repr_writer *writer);
/* Whether halves hold the values: none is beyond their range, and the greatest is normal (smaller ones lose no more than the
 * greatest does). Who narrows numbers to halves asks first, and keeps f32 where they do not. */
bool mcl_repr_fits_halves(const float *values, size_t count);
void mcl_repr_round_halves(float *values, size_t count);        /* each to the nearest f16 number */
mcl_status mcl_repr_copy(const mcl_repr *repr, mcl_repr **out); /* deep */

#endif
