/* ONNX: an export under way. Messages are built in buffers (onnx_write.c); ops become nodes (onnx_export_ops.c). */
#ifndef MCL_FORMATS_ONNX_EXPORT_H
#define MCL_FORMATS_ONNX_EXPORT_H

#include "formats/onnx.h"

#define ONNX_OPSET 17

/* Building bytes cannot fail half-way: the first failure is kept, and what follows it does nothing. */
typedef struct onnx_export {
  mcl_context *ctx;
  mcl_model *model;
  const char *path;
  mcl_buffer nodes;     /* NodeProto fields of the graph */
  mcl_buffer constants; /* small initializers that are no weights: shapes, bounds */
  mcl_buffer node;      /* the node that is being built */
  const char **names;   /* of values, by index */
  int made;             /* names made for values that ops of several nodes need */
  mcl_status status;
} onnx_export;

/* The node of the model as ONNX nodes in export->nodes, its constants in export->constants. */
mcl_status mcl_onnx_export_node(onnx_export *export, const mcl_node *node);

/* ---- Messages ---- */

void mcl_onnx_keep(onnx_export *export, mcl_status status);
void mcl_onnx_put_key(onnx_export *export, mcl_buffer *to, uint32_t number, mcl_wire_type type);
void mcl_onnx_put_int(onnx_export *export, mcl_buffer *to, uint32_t number, int64_t value);
void mcl_onnx_put_bytes(onnx_export *export, mcl_buffer *to, uint32_t number, const void *data, size_t size);
void mcl_onnx_put_text(onnx_export *export, mcl_buffer *to, uint32_t number, const char *text);
/* A message is built aside, then put into its holder with its length, and freed. */
void mcl_onnx_put_message(onnx_export *export, mcl_buffer *to, uint32_t number, mcl_buffer *message);

#endif
