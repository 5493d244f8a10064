/* then, written `..`: the second scheme on the values of what the first gives. Of a dense result these are the values
 * themselves; of a sparse one, those that were kept; of a product or a sum, those of each part. Codes have no values of
 * their own to be compressed again, so share and quantize come last; that is said when the two are put together. */
#include "compress/schemes.h"

typedef struct then {
  mcl_scheme base;
  mcl_scheme *first, *second;
} then;

static mcl_status check_order(mcl_context *ctx, const mcl_scheme *a, const mcl_scheme *b) {
  const mcl_repr_kind *given = a->kind->result(a), *wanted = b->kind->result(b);
  char first[MCL_SHAPE_TEXT], second[MCL_SHAPE_TEXT];
  mcl_scheme_text(a, first, sizeof first);
  mcl_scheme_text(b, second, sizeof second);
  if (given == &mcl_palette_kind || given == &mcl_affine_kind)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT,
                    "%s .. %s: %s gives codes, which nothing can follow; put it last: %s .. %s", first, second,
                    a->kind->name, second, first);
  if (given == &mcl_sparse_kind && wanted == &mcl_sparse_kind)
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT,
                    "%s .. %s: one prune after another: give one of them the density that is wanted", first, second);
  if (given == &mcl_sparse_kind && (wanted == &mcl_lowrank_kind || wanted == &mcl_sum_kind))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT,
                    "%s .. %s: the kept values are no matrix any more; prune the factors instead: %s .. %s", first,
                    second, second, first);
  if (given == &mcl_sparse_kind && mcl_scheme_is_per_channel(b))
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT,
                    "%s .. %s: the kept values have no channels; give a group of values, or one scale", first, second);
  return MCL_OK;
}

mcl_status mcl_scheme_then(mcl_context *ctx, mcl_scheme *a, mcl_scheme *b, mcl_scheme **out) {
  *out = NULL;
  MCL_TRY(check_order(ctx, a, b));
  MCL_TRY(mcl_scheme_compose(ctx, &mcl_then_kind, a, b, out));
  ((then *)*out)->first = mcl_scheme_retain(a);
  ((then *)*out)->second = mcl_scheme_retain(b);
  return MCL_OK;
}

static void release(mcl_scheme *scheme) {
  mcl_scheme_release(((then *)scheme)->first);
  mcl_scheme_release(((then *)scheme)->second);
}

/* ---- Applying the second to the values within `first` ---- */

static mcl_status on_dense(const mcl_scheme *second, const mcl_repr *first, const mcl_scheme_input *input,
                           mcl_repr **out) {
  mcl_tensor *values;
  MCL_TRY(mcl_repr_values(first, &values));
  mcl_status status = mcl_scheme_apply_values(second, values, input->statistics, input->importance, out);
  mcl_tensor_release(values);
  return status;
}

static mcl_status gather_importance(const mcl_scheme *second, const mcl_sparse *sparse, const mcl_scheme_input *input,
                                    mcl_tensor **out) {
  *out = NULL;
  mcl_tensor *whole;
  MCL_TRY(mcl_scheme_importance(second, input, &whole));
  mcl_status status = mcl_tensor_new_raw(second->ctx, MCL_F32, mcl_shape_1(sparse->nonzeros), out);
  int64_t rows = mcl_shape_rows(sparse->base.shape), cols = mcl_shape_cols(sparse->base.shape);
  int64_t work = 0;
  for (int64_t r = 0; r < rows && !status; r++) {
    status = mcl_worked(second->ctx, &work, 1 + 2 * (int64_t)(sparse->row_start[r + 1] - sparse->row_start[r]));
    for (uint32_t k = sparse->row_start[r]; k < sparse->row_start[r + 1]; k++)
      mcl_tensor_f32(*out)[k] = mcl_tensor_f32(whole)[r * cols + sparse->column[k]];
  }
  mcl_tensor_release(whole);
  if (status) {
    mcl_tensor_release(*out);
    *out = NULL;
  }
  return status;
}

static mcl_status on_sparse(const mcl_scheme *second, const mcl_sparse *sparse, const mcl_scheme_input *input,
                            mcl_repr **out) {
  mcl_tensor *importance = NULL;
  mcl_repr *values = NULL;
  mcl_scheme_input inner = {.importance = NULL};
  if (mcl_scheme_is_weighted(second)) MCL_TRY(gather_importance(second, sparse, input, &importance));
  inner.importance = importance;
  mcl_status status = mcl_scheme_apply_within(second, sparse->values, &inner, &values);
  if (!status) status = mcl_sparse_with(sparse, values, out);
  mcl_repr_release(values);
  mcl_tensor_release(importance);
  return status;
}

static mcl_status on_sum(const mcl_scheme *second, const mcl_sum *sum, const mcl_scheme_input *input, mcl_repr **out) {
  mcl_repr *part[MCL_REPR_MOST_PARTS] = {NULL};
  mcl_status status = MCL_OK;
  for (int i = 0; i < sum->parts && !status; i++)
    status = mcl_scheme_apply_within(second, sum->part[i], input, &part[i]);
  if (!status) status = mcl_sum_new(part, sum->parts, out);
  for (int i = 0; i < sum->parts; i++) mcl_repr_release(part[i]);
  return status;
}

mcl_status mcl_scheme_apply_within(const mcl_scheme *second, const mcl_repr *first, const mcl_scheme_input *input,
                                   mcl_repr **out) {
  if (first->kind == &mcl_dense_kind) return on_dense(second, first, input, out);
  if (first->kind == &mcl_sparse_kind) return on_sparse(second, (const mcl_sparse *)first, input, out);
  if (first->kind == &mcl_sum_kind) return on_sum(second, (const mcl_sum *)first, input, out);
  if (first->kind == &mcl_lowrank_kind)
    return mcl_scheme_apply_factors(second, (const mcl_lowrank *)first, input->statistics, out);
  return mcl_fail(second->ctx, MCL_ERROR_ARGUMENT, "%s cannot follow codes (%s): put what gives them last",
                  second->kind->name, first->kind->name);
}

static mcl_status apply(const mcl_scheme *scheme, const mcl_scheme_input *input, mcl_repr **out) {
  const then *t = (const then *)scheme;
  mcl_repr *first;
  MCL_TRY(t->first->kind->apply(t->first, input, &first));
  mcl_status status = mcl_scheme_apply_within(t->second, first, input, out);
  mcl_repr_release(first);
  return status;
}

static const mcl_repr_kind *result(const mcl_scheme *scheme) {
  const then *t = (const then *)scheme;
  const mcl_repr_kind *given = t->first->kind->result(t->first);
  if (given == &mcl_dense_kind) return t->second->kind->result(t->second);
  /* Codes within a sparse weight or a product end a chain as codes do. */
  const mcl_repr_kind *last = t->second->kind->result(t->second);
  return last == &mcl_palette_kind || last == &mcl_affine_kind ? last : given;
}

static bool is_weighted(const mcl_scheme *scheme) {
  return mcl_scheme_is_weighted(((const then *)scheme)->first) ||
         mcl_scheme_is_weighted(((const then *)scheme)->second);
}

static void text(const mcl_scheme *scheme, char *out, size_t size) {
  const then *t = (const then *)scheme;
  char first[256], second[256];
  size_t at = 0;
  mcl_scheme_text(t->first, first, sizeof first);
  mcl_scheme_text(t->second, second, sizeof second);
  mcl_text_add(out, size, &at, "%s .. %s", first, second);
}

const mcl_scheme_kind mcl_then_kind = {.name = "then",
                                       .size = sizeof(then),
                                       .apply = apply,
                                       .result = result,
                                       .is_weighted = is_weighted,
                                       .text = text,
                                       .release = release};
