/* Schemes, from within: what a kind of scheme gives, and what it is applied to. */
#ifndef MCL_COMPRESS_SCHEMES_H
#define MCL_COMPRESS_SCHEMES_H

#include "compress/compress.h"

/* A weight, or the values within a representation of one. */
typedef struct mcl_scheme_input {
  const mcl_repr *repr;             /* as it is held now */
  mcl_tensor *values;               /* decoded, f32, finite */
  const mcl_statistics *statistics; /* of the layer whose input these columns see; or NULL */
  mcl_tensor *importance;           /* of the values, where they are a choice from a weight's; or NULL */
} mcl_scheme_input;

typedef struct mcl_scheme_kind {
  const char *name;
  size_t size; /* of its struct, which begins with mcl_scheme */
  mcl_status (*apply)(const mcl_scheme *scheme, const mcl_scheme_input *input, mcl_repr **out);
  const mcl_repr_kind *(*result)(const mcl_scheme *scheme); /* the kind at the top of what it gives */
  bool (*is_weighted)(const mcl_scheme *scheme);            /* uses input->importance; NULL: never */
  void (*text)(const mcl_scheme *scheme, char *text, size_t size);
  void (*release)(mcl_scheme *scheme); /* NULL: holds nothing */
} mcl_scheme_kind;

struct mcl_scheme {
  const mcl_scheme_kind *kind;
  mcl_context *ctx;
  int references;
  int parts; /* itself and those within, each as often as it is used */
};

/* What is composed stays small enough to be read, applied and walked in no time, however its parts are shared. */
#define MCL_SCHEME_MOST_PARTS 200

extern const mcl_scheme_kind mcl_prune_kind, mcl_share_kind, mcl_quantize_kind, mcl_lowrank_scheme_kind, mcl_keep_kind,
    mcl_then_kind, mcl_sum_scheme_kind;

mcl_status mcl_scheme_new(mcl_context *ctx, const mcl_scheme_kind *kind, mcl_scheme **out); /* zeroed struct */
/* The same over the schemes a and b (NULL: none); MCL_ERROR_ARGUMENT where there would be too many parts. */
mcl_status mcl_scheme_compose(mcl_context *ctx, const mcl_scheme_kind *kind, const mcl_scheme *a, const mcl_scheme *b,
                              mcl_scheme **out);
bool mcl_scheme_is_weighted(const mcl_scheme *scheme);
/* Applies to values that are part of a representation; `statistics` NULL where the columns are not a layer's inputs. */
mcl_status mcl_scheme_apply_values(const mcl_scheme *scheme, mcl_tensor *values, const mcl_statistics *statistics,
                                   mcl_tensor *importance, mcl_repr **out);
/* The importance of each value: the input's own, the Fisher diagonal, or E[x²] of its column; an error that names
 * `scheme` where there is none. The caller releases it. */
mcl_status mcl_scheme_importance(const mcl_scheme *scheme, const mcl_scheme_input *input, mcl_tensor **out);
/* Of a quantize with a scale a row. */
bool mcl_scheme_is_per_channel(const mcl_scheme *scheme);
/* The scheme on the values within a representation: of `input`, only statistics and importance are read. */
mcl_status mcl_scheme_apply_within(const mcl_scheme *scheme, const mcl_repr *repr, const mcl_scheme_input *input,
                                   mcl_repr **out);
/* The same on both factors of a product. */
mcl_status mcl_scheme_apply_factors(const mcl_scheme *scheme, const mcl_lowrank *factors,
                                    const mcl_statistics *statistics, mcl_repr **out);
/* Appends at *at, cut to size. */
void mcl_text_add(char *text, size_t size, size_t *at, const char *format, ...) MCL_PRINTF(4, 5);

#endif
