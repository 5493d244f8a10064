/* Affine representations, from within: their groups, and projection during training. */
#ifndef MCL_REPR_AFFINE_H
#define MCL_REPR_AFFINE_H

#include "repr/repr.h"

int64_t mcl_affine_row_length(mcl_shape shape); /* a tensor of rank 1 is one row */
int64_t mcl_affine_groups(mcl_shape shape, int64_t count, int64_t group);
/* New scales, fitted to the codes that the present ones give, then new codes. affine_fit.c. */
mcl_status mcl_affine_project(mcl_affine *affine, const float *values, bool refits_scales);

#endif
