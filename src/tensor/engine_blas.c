/* The engine's context: the runtime's, with OpenBLAS plugged into the matrix product. */
#include <mcl/mcl.h>

#include "tensor/matmul.h"

mcl_status mcl_engine_new(const mcl_options *options, mcl_context **out) {
  mcl_status status = mcl_context_new(options, out);
  if (status) return status;
  status = mcl_matmul_plug(*out, mcl_matmul_blas);
  if (status) {
    mcl_context_free(*out);
    *out = NULL;
  }
  return status;
}
