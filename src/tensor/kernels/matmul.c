/* Matrix micro-kernels in portable C: the compiler's vectors of four floats. A product and its sum are rounded apart. */
#define WIDTH 4
#define MR 6
typedef float vector __attribute__((vector_size(16)));
typedef float loose __attribute__((vector_size(16), aligned(4), may_alias));
#define VECTOR vector
#define ZERO() ((vector){0})
#define LOAD(p) ((vector)(*(const loose *)(p)))
#define STORE(p, v) ((void)(*(loose *)(p) = (v)))
#define BROADCAST(x) ((vector){(x), (x), (x), (x)})
#define FMA(a, b, c) ((a) * (b) + (c))
#define MUL(a, b) ((a) * (b))

static inline vector load_part(const float *p, int n) {
  vector v = {0};
  for (int i = 0; i < n; i++) v[i] = p[i];
  return v;
}
static inline void store_part(float *p, vector v, int n) {
  for (int i = 0; i < n; i++) p[i] = v[i];
}
#define LOAD_PART load_part
#define STORE_PART store_part

#define KERNEL mcl_matmul_portable
#define KERNEL_NAME "portable"
#define BLOCK_M 96
#define BLOCK_N 256
#include "tensor/kernels/matmul_template.h"
