/* ONNX, private to src/formats: the document as it was parsed, and what reading and writing share.
 *
 *   onnx_wire.c    bytes → fields
 *   onnx_parse.c   fields → a document: nodes, tensors, inputs, outputs; names and lists in an arena, data in the file
 *   onnx_tensor.c  a tensor of the document → mcl_tensor
 *   onnx_read.c    the document → a model: names, constants, the walk over the nodes
 *   onnx_ops.c …   one row an ONNX op, and its handler
 *   onnx_write.c   a model → bytes */
#ifndef MCL_FORMATS_ONNX_H
#define MCL_FORMATS_ONNX_H

#include "base/file.h"
#include "formats/formats.h"
#include "formats/onnx_wire.h"

/* ---- The document ---- */

/* TensorProto.DataType */
enum {
  ONNX_FLOAT = 1,
  ONNX_UINT8 = 2,
  ONNX_INT8 = 3,
  ONNX_UINT16 = 4,
  ONNX_INT16 = 5,
  ONNX_INT32 = 6,
  ONNX_INT64 = 7,
  ONNX_STRING = 8,
  ONNX_BOOL = 9,
  ONNX_FLOAT16 = 10,
  ONNX_DOUBLE = 11,
  ONNX_UINT32 = 12,
  ONNX_UINT64 = 13,
  ONNX_BFLOAT16 = 16
};

typedef struct onnx_tensor {
  const char *name; /* "" of a value in a Constant node */
  int64_t type;     /* ONNX_FLOAT … */
  mcl_shape shape;
  mcl_wire message; /* the whole of it, for its typed fields */
  const uint8_t *raw;
  size_t raw_size;
  bool has_raw, is_external;
  const char *location; /* of external data; offset and length in it */
  uint64_t offset, length;
  bool has_length;
} onnx_tensor;

typedef struct onnx_attribute {
  const char *name;
  int64_t type; /* AttributeProto.AttributeType: 1 float, 2 int, 3 string, 4 tensor, 6 floats, 7 ints; else not read */
  float f;
  int64_t i;
  const char *s;
  onnx_tensor *t;
  int64_t *ints; /* or the bits of floats */
  size_t count;
} onnx_attribute;

typedef struct onnx_node {
  const char *name, *op_type, *domain;
  const char **inputs, **outputs; /* names; "": left out */
  int input_count, output_count, attribute_count;
  onnx_attribute *attributes;
} onnx_node;

typedef struct onnx_value_info {
  const char *name;
  int64_t type; /* of elements; 0: unknown */
  bool has_shape;
  int rank;
  int64_t dims[MCL_MAX_RANK];        /* -1: not a number */
  const char *symbols[MCL_MAX_RANK]; /* the name of such a dimension, or "" */
} onnx_value_info;

typedef struct onnx_document {
  mcl_context *ctx;
  const char *path;   /* for messages */
  const char *folder; /* where external data may be; NULL: nowhere */
  int64_t opset;
  onnx_node *nodes;
  onnx_tensor *initializers;
  onnx_value_info *inputs, *outputs;
  int node_count, initializer_count, input_count, output_count;
  struct onnx_block *blocks; /* the arena */
} onnx_document;

/* data must outlive the document. */
mcl_status mcl_onnx_parse(mcl_context *ctx, const char *path, const char *folder, const uint8_t *data, size_t size,
                          onnx_document **out);
void mcl_onnx_document_free(onnx_document *document); /* NULL is fine */
/* Zeroed memory that lives as long as the document. */
mcl_status mcl_onnx_alloc(onnx_document *document, size_t count, size_t size, void *out /* void ** */);

/* Its elements: f32 of every number type but whole numbers, which become i64; checked against its shape. */
mcl_status mcl_onnx_tensor_load(onnx_document *document, const onnx_tensor *tensor, mcl_tensor **out);

/* The model of an ONNX file in memory; folder: where external data may be, or NULL. */
mcl_status mcl_onnx_read(mcl_context *ctx, const char *path, const char *folder, const uint8_t *data, size_t size,
                         mcl_model **out);
mcl_status mcl_onnx_load_model(mcl_context *ctx, const char *path, mcl_model **out);
mcl_status mcl_onnx_save_model(mcl_model *model, const char *path, const mcl_artifact_options *options);
mcl_status mcl_onnx_encode(mcl_model *model, mcl_buffer *out); /* the same bytes, in memory */

#endif
