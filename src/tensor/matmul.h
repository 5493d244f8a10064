/* Matrix products, by kernels for each instruction set that give the same bits (kernels/matmul_kernels.h): the processor
 * chooses, or MCL_KERNELS=portable|avx2|avx512 in the environment. Tiles do not depend on the threads. */
#ifndef MCL_TENSOR_MATMUL_H
#define MCL_TENSOR_MATMUL_H

#include "base/context.h"

/* C[m,n] = alpha · op(A)[m,k] · op(B)[k,n] + beta · C. Row-major; lda, ldb, ldc are row strides in elements of A, B
 * and C as stored; transpose_a means that A is stored as [k,m]. beta 0 does not read C. */
typedef struct mcl_matmul {
  bool transpose_a, transpose_b;
  int64_t m, n, k;
  float alpha;
  const float *a;
  int64_t lda;
  const float *b;
  int64_t ldb;
  float beta;
  float *c;
  int64_t ldc;
  const float *packed_a; /* what mcl_matmul_pack_a made of the same A, or NULL; a is still given */
} mcl_matmul;

/* One thread; the unit of work of everything above. Takes scratch from its own stack or from buffers that the context
 * keeps, one a thread that is at work; allocates nothing once those are there, and manages without them where memory
 * is short. */
void mcl_matmul_serial(mcl_context *ctx, const mcl_matmul *p);
/* All threads, over fixed tiles. */
mcl_status mcl_matmul_run(mcl_context *ctx, const mcl_matmul *p);
/* Packs p->a once for many products by it, of p->m × p->k and as p->transpose_a says, into as many floats. */
void mcl_matmul_pack_a(const mcl_matmul *p, float *packed);
int64_t mcl_matmul_packed_floats(int64_t m, int64_t k);
/* Takes the buffers of all threads now, so that no later call allocates: for those who promise that. */
mcl_status mcl_matmul_reserve(mcl_context *ctx);

#endif
