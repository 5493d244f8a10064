/* Element-wise and reducing kernels: one table per instruction set.
 *
 * The three tables are one source (elementwise_body.h) compiled three times; it is written in operations that IEEE 754
 * defines to the last bit, without fused products, so the tables agree bit for bit on every input. */
#ifndef MCL_TENSOR_KERNELS_ELEMENTWISE_H
#define MCL_TENSOR_KERNELS_ELEMENTWISE_H

#include "base/cpu.h"
#include "tensor/expression.h"

#define MCL_LANES 16 /* partial sums of a reduction: element i of a block belongs to lane i % 16 */

/* out[n] from as many arguments as the operation has; out overlaps none of them. */
typedef void (*mcl_elementwise_fn)(float *out, const float *const *args, size_t n);
/* lanes[16] gathers x[n]. MIN and MAX keep a NaN once seen. */
typedef void (*mcl_gather_fn)(double *lanes, const float *x, size_t n);
/* sums[n] gathers x[n], element by element. */
typedef void (*mcl_gather_rows_fn)(double *sums, const float *x, size_t n);

typedef struct mcl_elementwise_table {
  mcl_elementwise_fn apply[MCL_E_COUNT];
  mcl_gather_fn gather[MCL_R_COUNT_NONZERO + 1];
  mcl_gather_rows_fn gather_rows[MCL_R_COUNT_NONZERO + 1];
  /* Copies past the caches: for results too large to be read again from them. */
  void (*stream)(float *out, const float *in, size_t n);
} mcl_elementwise_table;

extern const mcl_elementwise_table mcl_elementwise_portable, mcl_elementwise_avx2, mcl_elementwise_avx512;

const mcl_elementwise_table *mcl_elementwise_kernels(mcl_isa isa);

#endif
