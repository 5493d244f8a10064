/* Inside artifact: the container as it lies in a file (docs/format.md), and as it is once opened.
 *
 *   header      magic, version, feature bits, alignment, the directory's size
 *   directory   the graph, and of each weight its representation's header and the sizes of its streams
 *   guard       XXH3-64 of header and directory as stored
 *   streams     weight by weight; the second byte of each (the first is its coder) at a multiple of the alignment
 *   trailer     for each weight, 32 bits of the XXH3-64 of its stored streams, and of its decoded values; then XXH3-64 of
 *               all streams as stored, and of all weights' decoded hashes
 *
 * or, wrapped: a header of its own, the container's size, XXH3-64 of these and the frame, and the container as one zstd
 * frame. */
#ifndef MCL_ARTIFACT_CONTAINER_H
#define MCL_ARTIFACT_CONTAINER_H

#include "artifact/artifact.h"

#define MCL_CONTAINER_MAJOR 1
#define MCL_CONTAINER_MINOR 0

enum { /* feature bits that a reader must know */
       MCL_FEATURE_ZSTD_DIRECTORY = 1,
       MCL_FEATURE_ZSTD_WRAP = 2
};

enum {
  MCL_HEADER_FIXED = 8, /* magic, versions, feature bits */
  MCL_GUARD_SIZE = 8,
  MCL_TRAILER_WEIGHT = 8, /* bytes a weight */
  MCL_TRAILER_END = 16,
  MCL_MAX_ALIGNMENT_LOG2 = 12,
  MCL_NAME_LIMIT = 1023
};

extern const uint8_t mcl_container_magic[4];

/* `failure`, with a message, where a container of `stored` bytes stands for more values than the context's limit: what is
 * written is held to the same bound as what is read. */
mcl_status mcl_container_check_claim(const mcl_model *model, uint64_t stored, mcl_status failure);

/* The entries of the directory. */
enum { MCL_ENTRY_INPUT = 0, MCL_ENTRY_WEIGHT, MCL_ENTRY_NODE };
enum {                           /* flags above the kind's two bits */
       MCL_ENTRY_STATE = 4,      /* of a weight */
       MCL_ENTRY_ATTRIBUTES = 4, /* of a node: some are not their presets */
       MCL_ENTRY_SUFFIX = 8      /* two bits: what follows the stem of a name */
};
extern const char *const mcl_name_suffixes[4]; /* the first is empty, the last is not used yet: NULL */

typedef struct mcl_container_weight {
  const uint8_t *header; /* of its representation */
  size_t header_size;
  int first_stream, streams;
  size_t start, end;      /* of its streams within data */
  size_t directory_bytes; /* of its entry */
} mcl_container_weight;

typedef struct mcl_container {
  mcl_context *ctx;
  char *what;         /* the path, for messages */
  mcl_file_map *map;  /* NULL: the caller's memory, or unwrapped */
  uint8_t *unwrapped; /* of a wrapped one: what data is */
  uint8_t *inflated;  /* of a zstd directory */
  const uint8_t *data;
  size_t size, file_size;
  int version_major, version_minor, alignment;
  bool is_wrapped;
  const uint8_t *directory;
  size_t directory_size, directory_stored;
  size_t streams_at, trailer_at;
  mcl_coded_stream *streams;
  int stream_count, stream_capacity;
  mcl_container_weight *weights;
  int weight_count, weight_capacity;
  struct mcl_slices *slices; /* of a weight that is decoded in steps; NULL: none is */
} mcl_container;

/* Opens a container and builds its model, whose source it is. Takes over `map` (which may be NULL), whatever happens. */
mcl_status mcl_container_open(mcl_context *ctx, mcl_file_map *map, const uint8_t *data, size_t size, const char *what,
                              mcl_model **out);
void mcl_container_free(void *container);
mcl_container *mcl_container_of(const mcl_model *model); /* NULL: it was not opened from one */

/* The directory → inputs, weights and nodes of the model; and weights and streams of the container, the streams' place
 * not yet set (data NULL). */
mcl_status mcl_graph_read(mcl_container *container, mcl_model *model);

/* 32 bits of a hash, as they stand in the trailer. */
static inline uint32_t mcl_hash_short(uint64_t hash) { return (uint32_t)hash; }
/* The trailer's entries of a weight. */
uint32_t mcl_container_stored_hash(const mcl_container *container, int weight);
uint32_t mcl_container_decoded_hash(const mcl_container *container, int weight);
/* MCL_ERROR_FORMAT where the stored streams are not those that were written. */
mcl_status mcl_container_check_weight(const mcl_container *container, const mcl_model *model, int weight);
/* XXH3-64 of a representation's values, f32, little-endian, row-major. */
mcl_status mcl_repr_hash(const mcl_repr *repr, uint64_t *out);

/* Where a stream begins that may not begin before `at`: its payload, a byte later, is aligned. */
static inline size_t mcl_stream_start(size_t at, size_t alignment) {
  return ((at + 1 + alignment - 1) & ~(alignment - 1)) - 1;
}

/* The representation of a weight; `ready` has what was decoded ahead, or is NULL. */
mcl_status mcl_container_read(mcl_model *model, int weight, const mcl_repr_reader *ready);

/* Decoding in steps (artifact_decode.c): frees what is under way. */
void mcl_slices_free(mcl_container *container);

/* What a representation is, from its header alone. */
typedef struct mcl_stream_shape {
  uint32_t alphabet;
  uint8_t width;
  size_t count;
} mcl_stream_shape;
/* Of a sparse representation that has entries: what its positions are made from. */
typedef struct mcl_positions_shape {
  mcl_shape shape;
  int64_t nonzeros;
  uint8_t layout;
  int stream; /* of symbols; the next has the low bits where the layout has a shift */
} mcl_positions_shape;
typedef struct mcl_description {
  char text[128];
  int64_t nonzeros;
  size_t packed_bytes;       /* of the streams, at fixed bits a symbol */
  mcl_stream_shape *streams; /* room for stream_capacity of them, or NULL; the caller's */
  int stream_count, stream_capacity;
  mcl_positions_shape *positions; /* room for as many as of streams, or NULL; the caller's */
  int positions_count;
} mcl_description;
mcl_status mcl_describe(mcl_repr_reader *reader, mcl_shape shape, mcl_description *out);

/* ---- The engine's half ---- */

struct mcl_repr_writer; /* repr/fit.h */
/* The directory of a model whose weights have been measured (one writer each). */
mcl_status mcl_graph_write(const mcl_model *model, const struct mcl_repr_writer *weights, mcl_buffer *out);

#endif
