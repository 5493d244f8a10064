/* ONNX: what the handlers of ops see of an import under way. A handler asks for its inputs and attributes, puts nodes into the
 * model and binds the ONNX node's output to a value. Failures name the file and the node. */
#ifndef MCL_FORMATS_ONNX_IMPORT_H
#define MCL_FORMATS_ONNX_IMPORT_H

#include "formats/onnx.h"

#define ONNX_LIST_MOST 16    /* numbers of a list: a shape, axes */
#define ONNX_BATCH INT64_MIN /* in a list: the batch, whose size is not known yet */

typedef enum onnx_kind {
  ONNX_UNKNOWN,  /* nothing has computed it yet */
  ONNX_CONSTANT, /* a tensor known at import */
  ONNX_COMPUTED, /* a value of the model */
  ONNX_LIST      /* whole numbers made from shapes: what Reshape is given by exporters */
} onnx_kind;

/* A named value of the ONNX graph. */
typedef struct onnx_value {
  const char *name;
  const char *origin; /* the initializer that a constant was made from, for the weight's name; else its own name */
  onnx_kind kind;
  int value;                 /* of the model, if computed */
  const onnx_tensor *tensor; /* if constant: where it comes from; NULL: it is in `constant` already */
  mcl_tensor *constant;      /* loaded when first asked for: f32 or i64 */
  bool is_parameter;         /* an initializer; what a Constant node holds is not trained unless a layer owns it */
  int root;                  /* the constant that it is a view of, or itself: one weight is made for all its views */
  bool is_turned;            /* it is the root's transpose */
  int as_is, transposed;     /* of a root: weights of the model made from it, or -1 */
  int as_image;              /* likewise, of a signal's kernel */
  int64_t list[ONNX_LIST_MOST];
  int list_count;
  int uses, user; /* by live nodes: how many, and the last */
  int reach;      /* uses of it and of what only passes it on or turns it */
  bool is_input, is_output;
  bool is_padded; /* computed, with zeros around it that only a Conv can take in: top, left, bottom, right */
  int64_t pad[4];
} onnx_value;

typedef struct onnx_import {
  mcl_context *ctx;
  onnx_document *document;
  mcl_model *model;
  bool open_batch; /* a first dimension of 1 is taken for the batch */
  bool has_opened; /* and there was one */
  onnx_value *values;
  int value_count;
  int *slots; /* by name, open addressing; -1: free */
  size_t slot_count;
  bool *is_live, *is_done; /* nodes: wanted by an output; part of a pattern that an earlier one took in */
} onnx_import;

/* ---- Failing ---- */

mcl_status mcl_onnx_node_fail(onnx_import *import, const onnx_node *node, mcl_status status, const char *format, ...)
    MCL_PRINTF(4, 5);

/* ---- Inputs ---- */

onnx_value *mcl_onnx_find(onnx_import *import, const char *name);                  /* NULL: no such name */
onnx_value *mcl_onnx_input(onnx_import *import, const onnx_node *node, int index); /* NULL: left out */
bool mcl_onnx_is_constant(onnx_import *import, const onnx_node *node, int index);
/* As a value of the model; a constant becomes a weight. */
mcl_status mcl_onnx_computed(onnx_import *import, const onnx_node *node, int index, int *value);
/* The same of what Pad may have padded; others refuse that. */
mcl_status mcl_onnx_padded(onnx_import *import, const onnx_node *node, int index, int *value, int64_t pad[4]);
/* As a tensor, borrowed: f32 or i64. */
mcl_status mcl_onnx_constant(onnx_import *import, const onnx_node *node, int index, mcl_tensor **out);
mcl_status mcl_onnx_constant_f32(onnx_import *import, const onnx_node *node, int index,
                                 mcl_tensor **out);                                             /* a reference */
mcl_status mcl_onnx_number(onnx_import *import, const onnx_node *node, int index, double *out); /* of one element */
mcl_status mcl_onnx_list(onnx_import *import, const onnx_node *node, int index, int64_t *out, int *count);
mcl_shape mcl_onnx_shape(const onnx_import *import, int value);
/* The only user of output 0, if it has one that is still to come and the output is not the graph's. */
const onnx_node *mcl_onnx_only_user(onnx_import *import, const onnx_node *node);
void mcl_onnx_take(onnx_import *import, const onnx_node *node); /* a later node, whose work is done already */

/* ---- Attributes: of the type asked for, or `preset` where the node has none ---- */

const onnx_attribute *mcl_onnx_attribute(const onnx_node *node, const char *name);
mcl_status mcl_onnx_int(onnx_import *import, const onnx_node *node, const char *name, int64_t preset, int64_t *out);
mcl_status mcl_onnx_float(onnx_import *import, const onnx_node *node, const char *name, double preset, double *out);
mcl_status mcl_onnx_text(onnx_import *import, const onnx_node *node, const char *name, const char *preset,
                         const char **out);
/* *count is left as it is where the node has none. */
mcl_status mcl_onnx_ints(onnx_import *import, const onnx_node *node, const char *name, int most, int64_t *out,
                         int *count);

/* ---- Weights ---- */

typedef enum onnx_layout { ONNX_AS_IS, ONNX_TRANSPOSED } onnx_layout;

/* A weight made of constant input `index`; made once a layout. role: "weight", "bias" … for its name where ONNX gives none. */
mcl_status mcl_onnx_weight(onnx_import *import, const onnx_node *node, int index, const char *role, onnx_layout layout,
                           bool is_state, int *value);
/* The weight that was made of it already, but turned the other way; -1 where there is none, or one as it is asked for. A
 * product with the transpose needs no second weight. */
int mcl_onnx_turned_weight(onnx_import *import, const onnx_node *node, int index, onnx_layout layout);
/* Others use the constant too: what is made of it for one alone would no longer be theirs. */
bool mcl_onnx_is_shared(onnx_import *import, const onnx_node *node, int index);
/* A weight of values of the handler's own; takes a reference. */
mcl_status mcl_onnx_new_weight(onnx_import *import, const onnx_node *node, const char *role, mcl_tensor *values,
                               bool is_state, int *value);
mcl_status mcl_onnx_scalar(onnx_import *import, const onnx_node *node, const char *role, double number, int *value);

/* ---- Nodes ---- */

typedef struct onnx_put {
  const mcl_op *op;
  mcl_attribute attribute[MCL_MAX_ATTRIBUTES];
  int inputs, input[MCL_MAX_INPUTS];
} onnx_put;

onnx_put mcl_onnx_op(const char *op); /* with its presets; op is one of the engine's */
void mcl_onnx_set_ints(onnx_put *put, const char *name, const int64_t *numbers, int count);
void mcl_onnx_set_float(onnx_put *put, const char *name, double number);
void mcl_onnx_add_input(onnx_put *put, int value); /* -1: left out */
/* Adds it for the ONNX node, under a name that tells so; `part` tells apart several of one ONNX node, NULL for the last. */
mcl_status mcl_onnx_place(onnx_import *import, const onnx_node *node, const onnx_put *put, const char *part,
                          int *value);
/* The same of an op of two inputs and no attributes. */
mcl_status mcl_onnx_place_binary(onnx_import *import, const onnx_node *node, const char *op, int a, int b,
                                 const char *part, int *value);
void mcl_onnx_bind(onnx_import *import, const onnx_node *node, int value); /* output 0 */
/* Both, of an op that ends the handler's work. */
mcl_status mcl_onnx_finish(onnx_import *import, const onnx_node *node, const onnx_put *put);
mcl_status mcl_onnx_reshape(onnx_import *import, const onnx_node *node, int from, const int64_t *dims, int count,
                            const char *part, int *value);

/* ---- The table ---- */

typedef struct onnx_op {
  const char *name;
  int since; /* opset from which its meaning is what the handler takes it for */
  int least_inputs, most_inputs;
  const char *attributes; /* those read, or rightly ignored */
  mcl_status (*import)(onnx_import *import, const onnx_node *node);
} onnx_op;

extern const onnx_op mcl_onnx_ops[];
extern const int mcl_onnx_op_count;

/* Handlers: onnx_layers.c */
mcl_status mcl_onnx_conv(onnx_import *, const onnx_node *);
mcl_status mcl_onnx_gemm(onnx_import *, const onnx_node *);
mcl_status mcl_onnx_matmul(onnx_import *, const onnx_node *);
mcl_status mcl_onnx_pool(onnx_import *, const onnx_node *);
mcl_status mcl_onnx_global_pool(onnx_import *, const onnx_node *);
mcl_status mcl_onnx_batch_norm(onnx_import *, const onnx_node *);
mcl_status mcl_onnx_layer_norm(onnx_import *, const onnx_node *);
/* onnx_shapes.c */
mcl_status mcl_onnx_constant_node(onnx_import *, const onnx_node *);
mcl_status mcl_onnx_pass(onnx_import *, const onnx_node *);
mcl_status mcl_onnx_cast(onnx_import *, const onnx_node *);
mcl_status mcl_onnx_pad(onnx_import *, const onnx_node *);
mcl_status mcl_onnx_concat(onnx_import *, const onnx_node *);
mcl_status mcl_onnx_reshape_node(onnx_import *, const onnx_node *);
mcl_status mcl_onnx_flatten(onnx_import *, const onnx_node *);
mcl_status mcl_onnx_transpose(onnx_import *, const onnx_node *);
mcl_status mcl_onnx_squeeze(onnx_import *, const onnx_node *);
mcl_status mcl_onnx_unsqueeze(onnx_import *, const onnx_node *);
mcl_status mcl_onnx_shape_node(onnx_import *, const onnx_node *);
mcl_status mcl_onnx_gather(onnx_import *, const onnx_node *);
mcl_status mcl_onnx_slice(onnx_import *, const onnx_node *);
mcl_status mcl_onnx_reduce_mean(onnx_import *, const onnx_node *);

#endif
