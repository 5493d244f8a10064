/* Positions of a sparse representation, as sparse.c describes them: the layout byte, and reading. */
#ifndef MCL_REPR_SPARSE_POSITIONS_H
#define MCL_REPR_SPARSE_POSITIONS_H

#include "base/threads.h"
#include "repr/repr.h"

enum {
  MCL_SPARSE_COLUMN_MAJOR = 1,
  MCL_SPARSE_SHIFT = 1, /* the bit at which the shift of gaps begins; three bits */
  MCL_SPARSE_BITMAP = 16,
  MCL_SPARSE_ESCAPE = 255
};

/* Fills column and row_start of a sparse representation whose shape and nonzeros are set; what it took is freed with
 * the representation. */
mcl_status mcl_sparse_read_positions(mcl_repr_reader *reader, mcl_sparse *sparse);

#endif
