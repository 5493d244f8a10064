/* Selection: the k-th largest value of a program, found without sorting and without storing the values (select.c). */
#ifndef MCL_TENSOR_SELECT_H
#define MCL_TENSOR_SELECT_H

#include "tensor/program.h"

typedef struct mcl_selection {
  float value;       /* the k-th largest; 0 for -0 */
  int64_t above;     /* elements greater than it */
  int64_t tie_limit; /* k - above elements equal to it have an index below this */
} mcl_selection;

/* k in 1 … count. MCL_ERROR_NUMERIC, naming the first element, where a value is NaN. */
mcl_status mcl_select_largest(const mcl_program *program, int64_t k, mcl_selection *out);

#endif
