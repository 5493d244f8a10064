/* matmul: y[…, m, n] = a[…, m, k] · b[…, k, n], as ONNX's MatMul of inputs of two dimensions and more. b is a matrix for
 * all, or has the leading dimensions of a. */
#include "graph/product.h"
#include "tensor/matmul.h"

mcl_product mcl_product_of(const mcl_op_call *call) {
  mcl_shape a = call->in[0].shape, b = call->in[1].shape;
  mcl_product p = {.count = mcl_dims_count(a, 0, a.rank - 2),
                   .m = a.dim[a.rank - 2],
                   .k = a.dim[a.rank - 1],
                   .n = b.dim[b.rank - 1]};
  if (b.rank == 2) p.m *= p.count, p.count = 1;
  return p;
}

static mcl_status shape_matmul(mcl_context *ctx, const mcl_node *node, const mcl_shape *in, mcl_shape *out) {
  char ta[MCL_SHAPE_TEXT], tb[MCL_SHAPE_TEXT];
  mcl_shape a = in[0], b = in[1];
  bool fits = a.rank >= 2 && b.rank >= 2 && a.dim[a.rank - 1] == b.dim[b.rank - 2] && b.dim[b.rank - 2] > 0;
  if (fits && b.rank > 2) {
    fits = a.rank == b.rank;
    for (int i = 0; fits && i < a.rank - 2; i++) fits = a.dim[i] == b.dim[i];
  }
  if (!fits)
    return mcl_node_fail(
        ctx, node, "matmul of %s and %s: wants […, m, k] and [k, n], or […, k, n] with the same leading dimensions",
        mcl_shape_text(a, ta), mcl_shape_text(b, tb));
  out[0] = a;
  out[0].dim[a.rank - 1] = b.dim[b.rank - 1];
  return MCL_OK;
}

typedef struct product_work {
  const mcl_op_call *call;
  mcl_product p;
} product_work;

static mcl_matmul product_at(const product_work *work, int64_t i) {
  const mcl_product *p = &work->p;
  return (mcl_matmul){.m = p->m,
                      .n = p->n,
                      .k = p->k,
                      .alpha = 1,
                      .a = work->call->in[0].data + i * p->m * p->k,
                      .lda = p->k,
                      .b = work->call->in[1].data + i * p->k * p->n,
                      .ldb = p->n,
                      .c = work->call->out[0].data + i * p->m * p->n,
                      .ldc = p->n};
}

static mcl_status product_chunk(void *arg, int64_t chunk, int worker) {
  (void)worker;
  const product_work *work = arg;
  mcl_matmul product = product_at(work, chunk);
  return mcl_matmul_run(work->call->ctx, &product); /* in this thread, tile by tile */
}

static mcl_status run_matmul(const mcl_op_call *call) {
  product_work work = {call, mcl_product_of(call)};
  if (work.p.count > 1) return mcl_parallel(call->ctx, work.p.count, product_chunk, &work);
  mcl_matmul product = product_at(&work, 0);
  return mcl_matmul_run(call->ctx, &product);
}

static int64_t matmul_multiply_adds(const mcl_node *node, const mcl_shape *in, const mcl_shape *out) {
  (void)node;
  return mcl_product_or_most(mcl_elements(out[0]), in[0].dim[in[0].rank - 1]);
}

const mcl_op mcl_op_matmul = {.id = 28,
                              .name = "matmul",
                              .least_inputs = 2,
                              .most_inputs = 2,
                              .outputs = 1,
                              .shape = shape_matmul,
                              .forward = run_matmul,
                              .multiply_adds = matmul_multiply_adds};
