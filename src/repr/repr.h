/* Representations: how a weight is held. A tree: the parts of one are held by another. A kind is a file and a row of
 * repr.c (the runtime's half), and x_fit.c beside it with a row of repr_fit.c (the engine's half). */
#ifndef MCL_REPR_REPR_H
#define MCL_REPR_REPR_H

#include "coding/coding.h"
#include "tensor/tensor.h"

#define MCL_REPR_MAX_DEPTH 8  /* levels of a tree, one of a single node: what is made and what is read */
#define MCL_REPR_MOST_PARTS 4 /* of one representation */

typedef struct mcl_repr_kind mcl_repr_kind;

/* The head of every representation; each kind's struct begins with it. */
typedef struct mcl_repr {
  const mcl_repr_kind *kind;
  mcl_context *ctx;
  mcl_shape shape; /* of the values it stands for; as a matrix: mcl_shape_rows × mcl_shape_cols */
  int64_t count;
  int references;
} mcl_repr;

/* One coded stream of a weight, within the container's memory. */
typedef struct mcl_coded_stream {
  const uint8_t *data;
  size_t size;
} mcl_coded_stream;

/* What has been decoded ahead of reading, in slices: memory of mcl_alloc that goes to whoever reads it. Each says of what it
 * was made, and is used only where just that is read. */
typedef struct mcl_ready_stream {
  void *elements; /* NULL: not decoded ahead, or taken */
  uint32_t alphabet;
  uint8_t width;
  size_t count;
} mcl_ready_stream;
typedef struct mcl_ready_positions {
  uint32_t *column, *row_start; /* as in mcl_sparse; NULL: taken */
  mcl_shape shape;
  int64_t nonzeros;
} mcl_ready_positions;

/* What a representation is read from: the parameters of the tree in preorder, and its streams in the same order. */
typedef struct mcl_repr_reader {
  mcl_context *ctx;
  mcl_reader header;
  const mcl_coded_stream *streams;
  int stream_count, next_stream;
  mcl_file_map *map; /* keeps the streams' memory alive for views; NULL: the caller's memory, which outlives */
  int depth;
  mcl_ready_stream *ready;                        /* [stream_count], or NULL */
  mcl_ready_positions *positions, *positions_end; /* of the sparse ones, in preorder */
} mcl_repr_reader;

/* The next stream's elements, where they are ready: now the caller's. NULL: they are not. */
void *mcl_repr_take_stream(mcl_repr_reader *reader, uint32_t alphabet, uint8_t width, size_t count);

/* The next stream, after mcl_stream_check: only then is memory taken for `count` elements. */
mcl_status mcl_repr_next_stream(mcl_repr_reader *reader, uint32_t alphabet, uint8_t width, size_t count,
                                const mcl_coded_stream **out);
mcl_status mcl_repr_decode_stream(mcl_repr_reader *reader, const mcl_coded_stream *stream, uint32_t alphabet,
                                  uint8_t width, size_t count, void *out);
/* Both at once, into memory allocated here. */
mcl_status mcl_repr_read_stream(mcl_repr_reader *reader, uint32_t alphabet, uint8_t width, size_t count,
                                void *out /* void ** */);

struct mcl_repr_kind {
  uint8_t id; /* in the file format, for ever */
  const char *name;
  size_t size; /* of its struct */
  void (*release)(mcl_repr *repr);
  /* Rows first … first+rows-1 of the matrix view, to out[rows][cols]; bit-exact on every machine. */
  mcl_status (*decode)(const mcl_repr *repr, int64_t first, int64_t rows, float *out);
  bool is_whole; /* decode asks by itself whether to stop, and is dearer in slices */
  /* y[batch,rows] = x[batch,cols] · Wᵀ from the compressed form; scratch of scratch_size bytes. NULL: decode first. */
  mcl_status (*matmul)(const mcl_repr *repr, const float *x, int64_t batch, float *y, void *scratch);
  size_t (*matmul_scratch)(const mcl_repr *repr, int64_t batch);
  mcl_status (*read)(mcl_repr_reader *reader, mcl_shape shape, mcl_repr **out);
  int (*parts)(const mcl_repr *repr,
               const mcl_repr **parts); /* children, at most MCL_REPR_MOST_PARTS; NULL parts: the count */
  int (*bits)(const mcl_repr *repr);    /* of a stored value; NULL: it has parts, and the first one's are meant */
  /* "sparse 8.0 % of (palette 32)"; cut to size. */
  void (*text)(const mcl_repr *repr, char *text, size_t size);
};

extern const mcl_repr_kind *const mcl_repr_kinds[];
extern const int mcl_repr_kind_count;

mcl_repr *mcl_repr_retain(mcl_repr *repr);
void mcl_repr_release(mcl_repr *repr); /* NULL is fine */
mcl_status mcl_repr_new(mcl_context *ctx, const mcl_repr_kind *kind, mcl_shape shape,
                        mcl_repr **out);                                            /* zeroed struct */
mcl_status mcl_repr_read(mcl_repr_reader *reader, mcl_shape shape, mcl_repr **out); /* u8 kind, then the kind's read */
mcl_status mcl_repr_decode(const mcl_repr *repr, int64_t first, int64_t rows, float *out);
/* All of them, by all threads: into memory for count values, or as a new f32 tensor. */
mcl_status mcl_repr_decode_all(const mcl_repr *repr, float *out);
mcl_status mcl_repr_values(const mcl_repr *repr, mcl_tensor **out);
/* y[batch,rows] = x[batch,cols] · Wᵀ by the kind's matmul, or by a decode into scratch where it has none. Scratch is of
 * mcl_repr_matmul_scratch bytes, aligned to 64. */
mcl_status mcl_repr_matmul(const mcl_repr *repr, const float *x, int64_t batch, float *y, void *scratch);
size_t mcl_repr_matmul_scratch(const mcl_repr *repr, int64_t batch);
/* Stored entries, of all parts together; the count where it has none. A product with a vector takes a multiplication each. */
int64_t mcl_repr_nonzeros(const mcl_repr *repr);
int mcl_repr_bits(const mcl_repr *repr); /* of a stored value: of a code where there are codes, else of its type */
void mcl_repr_text(const mcl_repr *repr, char *text, size_t size);
/* Whether these may be the parts of one: MCL_ERROR_ARGUMENT where that would be deeper than any reader goes. */
mcl_status mcl_repr_check_parts(mcl_repr *const *parts, int count);

/* ---- The kinds. Their fields are read freely, and written by their own files alone. ---- */

/* A tensor of any float dtype. */
typedef struct mcl_dense {
  mcl_repr base;
  mcl_tensor *values;
} mcl_dense;
extern const mcl_repr_kind mcl_dense_kind;
mcl_status mcl_dense_new(mcl_tensor *values, mcl_repr **out);

/* Entries at ascending row-major positions; all others are zero. `values` has shape {nonzeros}. */
typedef struct mcl_sparse {
  mcl_repr base;
  int64_t nonzeros;
  uint32_t *column;    /* [nonzeros] within the row of the matrix view */
  uint32_t *row_start; /* [rows + 1] */
  mcl_repr *values;
} mcl_sparse;
extern const mcl_repr_kind mcl_sparse_kind;
/* The same entries with their values as dense f32, so that products decode nothing; retains sparse where they are. */
mcl_status mcl_sparse_expand(mcl_repr *sparse, mcl_repr **out);

/* Each value is an entry of a codebook of at most 256. */
typedef struct mcl_palette {
  mcl_repr base;
  int bits;    /* of a code: 1 … 8 */
  int entries; /* of the codebook, at most 2^bits */
  bool half;   /* the codebook's entries are f16 numbers, and stored so */
  float *codebook;
  uint8_t *codes; /* [count] */
} mcl_palette;
extern const mcl_repr_kind mcl_palette_kind;

/* value = scale · (code − zero_point), 1 to 8 bits, one scale a tensor, a channel (row), or a group of consecutive
 * values within a row (Jacob et al. 2018). One-bit symmetric codes are signs: scale · (2 · code − 1). A tensor of rank 1
 * is one row here. */
typedef struct mcl_affine {
  mcl_repr base;
  int bits;
  bool symmetric; /* no zero points: codes are around 2^(bits-1) */
  bool half;      /* scales are f16 numbers, and stored so */
  int64_t group;  /* values a scale; 0: the whole tensor; cols: a row each */
  int64_t groups;
  float *scale;        /* [groups] */
  uint8_t *zero_point; /* [groups], or NULL where symmetric */
  uint8_t *codes;      /* [count] */
} mcl_affine;
extern const mcl_repr_kind mcl_affine_kind;

/* W[rows,cols] = left[rows,rank] · right[rank,cols], each part any representation. */
typedef struct mcl_lowrank {
  mcl_repr base;
  int64_t rank;
  mcl_repr *left, *right;
} mcl_lowrank;
extern const mcl_repr_kind mcl_lowrank_kind;

/* The sum of its parts, two at least, each of the same shape. */
typedef struct mcl_sum {
  mcl_repr base;
  int parts;
  mcl_repr *part[MCL_REPR_MOST_PARTS];
} mcl_sum;
extern const mcl_repr_kind mcl_sum_kind;

#endif
