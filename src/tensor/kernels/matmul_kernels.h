/* Micro-kernels of the matrix product: all that depends on the machine. One row an instruction set; the framework
 * around them is matmul.c. Each element of a product is one chain of fused multiply-adds over k within a block of `kc`, whatever
 * tile it falls into, and each dot product has MCL_DOT_LANES of them: results depend neither on how the work was cut nor on
 * the kernel, bit for bit. kc is therefore the same in every row. */
#ifndef MCL_TENSOR_MATMUL_KERNELS_H
#define MCL_TENSOR_MATMUL_KERNELS_H

#include "tensor/matmul.h"

/* C[rows,columns] = beta · C + alpha · Σ_p a[p·a_step + i] · b[p·b_step + j], rows ≤ mr, columns ≤ nr. b can be read
 * up to the next multiple of the vector's width. beta 0 does not read C. */
typedef struct mcl_micro_tile {
  int64_t k;
  const float *a, *b;
  int64_t a_step, b_step;
  float *c;
  int64_t ldc;
  int columns;
  float alpha, beta;
} mcl_micro_tile;

typedef void (*mcl_micro_fn)(const mcl_micro_tile *tile);

#define MCL_MICRO_MAX_ROWS 14
#define MCL_MICRO_MAX_COLUMNS 32
#define MCL_MICRO_MAX_K 256
#define MCL_DOT_LANES 32

typedef struct mcl_matmul_kernel {
  const char *name;
  int mr, nr, width;  /* of a tile; floats in a vector: nr is two of them */
  int64_t mc, nc, kc; /* blocks: A's of mc × kc and B's of kc × nc lie in L2, panels of kc × mr and kc × nr in L1 */
  const mcl_micro_fn (*tile)[2]; /* [rows - 1][vectors - 1] */
  /* k × `lanes` panels: dst[p·step + i] = src[p·ld + i], or src[i·ld + p]; lanes … step-1 are zeroed. */
  void (*pack_rows)(int64_t k, int lanes, int step, const float *src, int64_t ld, float *dst);
  void (*pack_columns)(int64_t k, int lanes, int step, const float *src, int64_t ld, float *dst);
  /* out[j] = Σ_p x[p] · y[j·ld + p], j < count: for products with one row, vectors along k. Lane p % 32 takes element p;
   * lanes are added 16 to 16, 8 to 8 … . */
  void (*dots)(int64_t k, const float *x, const float *y, int64_t ld, int64_t count, float *out);
} mcl_matmul_kernel;

extern const mcl_matmul_kernel mcl_matmul_portable;
extern const mcl_matmul_kernel mcl_matmul_avx2;   /* only on x86-64 */
extern const mcl_matmul_kernel mcl_matmul_avx512; /* only on x86-64 */

/* mcl_matmul_own with a kernel of the caller's choice, for tests: the processor must have it. */
void mcl_matmul_with(mcl_context *ctx, const mcl_matmul_kernel *kernel, const mcl_matmul *p);

#endif
