/* Gradients of matmul: da = dy · bᵀ, db = aᵀ · dy. */
#include "graph/ops_grad.h"
#include "graph/product.h"
#include "tensor/matmul.h"

typedef struct product_back {
  const mcl_op_call *call;
  mcl_product p;
} product_back;

static mcl_status product_chunk(void *arg, int64_t i, int worker) {
  (void)worker;
  const product_back *back = arg;
  const mcl_product *p = &back->p;
  const mcl_operand *a = &back->call->in[0], *b = &back->call->in[1];
  const float *dy = back->call->out[0].gradient + i * p->m * p->n;
  if (a->gradient) {
    mcl_matmul product = {.transpose_b = true, .m = p->m, .n = p->k, .k = p->n, .alpha = 1};
    product.a = dy, product.lda = p->n;
    product.b = b->data + i * p->k * p->n, product.ldb = p->n;
    product.c = a->gradient + i * p->m * p->k, product.ldc = p->k;
    product.beta = a->accumulate ? 1 : 0;
    MCL_TRY(mcl_matmul_run(back->call->ctx, &product));
  }
  if (b->gradient) {
    mcl_matmul product = {.transpose_a = true, .m = p->k, .n = p->n, .k = p->m, .alpha = 1};
    product.a = a->data + i * p->m * p->k, product.lda = p->k;
    product.b = dy, product.ldb = p->n;
    product.c = b->gradient + i * p->k * p->n, product.ldc = p->n;
    product.beta = b->accumulate ? 1 : 0;
    MCL_TRY(mcl_matmul_run(back->call->ctx, &product));
  }
  return MCL_OK;
}

mcl_status mcl_matmul_backward(const mcl_op_call *call) {
  product_back back = {call, mcl_product_of(call)};
  return mcl_parallel(call->ctx, back.p.count, product_chunk, &back);
}
