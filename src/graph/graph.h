/* The graph: an SSA list of named values, close to ONNX's. Weights are values that a model owns; each has one
 * representation. An op is a file (or a family's file) and a row of ops.c; its gradient, x_grad.c, a row of
 * ops_grad.c. Images are NCHW. */
#ifndef MCL_GRAPH_GRAPH_H
#define MCL_GRAPH_GRAPH_H

#include "repr/repr.h"

#define MCL_MAX_INPUTS 32 /* of a node; concat has the most */
#define MCL_MAX_ATTRIBUTES 8

/* ---- Ops ---- */

typedef enum mcl_attribute_type { MCL_ATTRIBUTE_INT, MCL_ATTRIBUTE_INTS, MCL_ATTRIBUTE_FLOAT } mcl_attribute_type;

/* An INT is ints[0] with count 1; INTS are ints[0 … count-1]; a FLOAT is number. */
typedef struct mcl_attribute {
  int count; /* of ints */
  int64_t ints[MCL_MAX_RANK];
  double number;
} mcl_attribute;

typedef struct mcl_attribute_spec {
  const char *name; /* "stride"; NULL ends a list */
  mcl_attribute_type type;
  mcl_attribute preset; /* of a node that does not say; INTS have as many as this, or any number where it has none */
  double least, most;   /* of each number */
} mcl_attribute_spec;

typedef struct mcl_op mcl_op;
typedef struct mcl_model mcl_model;

typedef struct mcl_node {
  const mcl_op *op;
  char *name; /* unique; a layer's name in recipes */
  int inputs, outputs;
  int input[MCL_MAX_INPUTS]; /* indices of values; -1: an optional input left out (a bias) */
  int output[2];
  mcl_attribute attribute[MCL_MAX_ATTRIBUTES]; /* in the order of op->attributes */
} mcl_node;

/* A tensor as an op sees it while it runs. */
typedef struct mcl_operand {
  mcl_shape shape;      /* the batch filled in */
  float *data;          /* NULL: an input left out, or a weight to be used through repr */
  float *gradient;      /* in training; NULL: not wanted */
  const mcl_repr *repr; /* of a weight to be used from its compressed form: data is NULL; else NULL */
  bool accumulate;      /* backward adds to gradient instead of writing it */
} mcl_operand;

typedef struct mcl_op_call {
  mcl_context *ctx;
  const mcl_node *node;
  mcl_operand in[MCL_MAX_INPUTS], out[2];
  void *workspace;   /* of the size asked for, aligned to 64 bytes; kept from forward to backward if keeps_workspace */
  bool training;     /* behave as in training: dropout drops, batch norm takes the batch's statistics */
  bool for_backward; /* values and workspace are kept: a backward call may follow */
  uint64_t seed, step; /* of random numbers: the node's own stream, the step of training */
} mcl_op_call;

struct mcl_op {
  uint8_t id;       /* in the file format, for ever; 0: an op of the user's, which no file can hold */
  const char *name; /* "conv", "linear", "relu" … */
  int least_inputs, most_inputs;
  int outputs;
  int weight_input;      /* which input is a layer's main weight (1 for conv and linear); 0: not a layer */
  unsigned state_inputs; /* bit i: input i must be a state, which forward updates in training (batch norm) */
  bool in_place;         /* out may share memory with in[0] when inferring, where both have as many elements */
  bool keeps_workspace;
  bool takes_compressed; /* in[weight_input] may come with data NULL, to be used through repr->kind->matmul */
  const mcl_attribute_spec *attributes; /* NULL: none */
  /* Output shapes from input shapes, whose ranks, but not whose fit, may be relied upon. A dimension 0 of -1 is the
   * batch. Inputs left out have node->input[i] -1. Messages name the node. */
  mcl_status (*shape)(mcl_context *ctx, const mcl_node *node, const mcl_shape *in, mcl_shape *out);
  size_t (*workspace)(const mcl_op_call *call); /* bytes, of a bound call but for data; NULL: none */
  mcl_status (*forward)(const mcl_op_call *call);
  /* From out[].gradient to in[].gradient (those not NULL, in their order), written, or added where in[].accumulate.
   * in[].data and out[].data are as forward left them. For ops of the user's; the library's own have theirs in
   * ops_grad.c. */
  mcl_status (*backward)(const mcl_op_call *call);
  int64_t (*multiply_adds)(const mcl_node *node, const mcl_shape *in, const mcl_shape *out); /* a run; NULL: none */
};

extern const mcl_op *const mcl_ops[];
extern const int mcl_op_count;
const mcl_op *mcl_op_by_name(const char *name); /* NULL: unknown */
const mcl_op *mcl_op_by_id(uint8_t id);
int mcl_op_attributes(const mcl_op *op);                       /* how many it has */
int mcl_op_find_attribute(const mcl_op *op, const char *name); /* -1: none */
void mcl_attribute_presets(const mcl_op *op, mcl_attribute *attributes /* MCL_MAX_ATTRIBUTES */);

/* ---- Models ---- */

typedef struct mcl_value {
  char *name;
  mcl_shape shape; /* dim[0] is -1 where it is the batch */
  int weight;      /* index of the weight that it is; -1: computed, or an input of the model */
  int producer;    /* index of its node; -1 */
} mcl_value;

typedef struct mcl_weight {
  char *name; /* "conv1.weight" */
  mcl_shape shape;
  mcl_repr *repr; /* NULL: still coded, see mcl_weight_load */
  bool is_state;  /* running statistics: not trained, not compressed */
  /* That hold it in the file of another format that it was read from; 0: not known, or counted before. */
  size_t file_bytes;
  mcl_tensor *dense; /* cached values, made by mcl_weight_values; NULL after repr changed */
} mcl_weight;

struct mcl_model {
  mcl_context *ctx;
  char *name; /* where it came from, for messages */
  int value_count, node_count, weight_count, input_count, output_count;
  mcl_value *values;
  mcl_node *nodes; /* in an order in which they can run */
  mcl_weight *weights;
  int *inputs, *outputs; /* values */
  /* Set while a fit runs functions of its user's (a loss, the end of an epoch): the model cannot be changed meanwhile, and
   * what is taken of it is copied by this, since training goes on in the memory of its representations. Else NULL. */
  mcl_status (*lent)(mcl_repr **repr);
  /* How weights that are still coded are got; set by the artifact's reader. */
  mcl_status (*load_weight)(mcl_model *model, int weight);
  void (*free_source)(void *source);
  void *source;
  /* private to model.c */
  int value_capacity, node_capacity, weight_capacity, input_capacity, output_capacity;
  int *name_slots; /* open addressing: indices of values by name, -1 where free */
  int name_slot_count;
};

mcl_status mcl_model_new(mcl_context *ctx, const char *name, mcl_model **out);
mcl_status mcl_model_copy(mcl_model *model, mcl_model **out); /* representations are shared until trained */
/* MCL_ERROR_ARGUMENT while the model is lent by a fit. All that changes a model begins with it. */
mcl_status mcl_model_check_change(const mcl_model *model);
/* Building, in running order. Names are copied, and must be unique; *value is the index of the new value. */
mcl_status mcl_model_add_input(mcl_model *model, const char *name, mcl_shape shape, int *value);
mcl_status mcl_model_add_weight(mcl_model *model, const char *name, mcl_repr *repr, bool is_state, int *value);
/* For readers of containers: a weight to be loaded later. */
mcl_status mcl_model_add_coded_weight(mcl_model *model, const char *name, mcl_shape shape, bool is_state, int *value);
/* attributes: in the op's order, or NULL for the presets. Output names are "NAME" (and "NAME:1"), so nodes, weights and
 * inputs share one space of names. Checks attributes, inputs and shapes; a failure leaves the model as it was. */
mcl_status mcl_model_add_node(mcl_model *model, const mcl_op *op, const char *name, const mcl_attribute *attributes,
                              int inputs, const int *input, int *value);
mcl_status mcl_model_add_output(mcl_model *model, int value);
mcl_status mcl_model_check_runs(mcl_model *model);                  /* MCL_ERROR_UNSUPPORTED where it has no outputs */
int mcl_model_find_value(const mcl_model *model, const char *name); /* -1: none */
bool mcl_model_uses(const mcl_model *model, int value);             /* a node reads it, or it is an output */
int mcl_model_find_weight(const mcl_model *model, const char *name);
/* The first node that has the weight as an input, and which input; -1: none uses it. `input` may be NULL. */
int mcl_model_weight_node(const mcl_model *model, int weight, int *input);

mcl_status mcl_weight_load(mcl_model *model, int weight); /* repr is there afterwards */
mcl_status mcl_weight_take(mcl_model *model, int weight,
                           mcl_repr **out); /* a reference to the representation, to keep */
mcl_status mcl_weight_values(mcl_model *model, int weight,
                             mcl_tensor **out);                          /* borrowed; cached f32; not to be written */
mcl_status mcl_weight_set(mcl_model *model, int weight, mcl_repr *repr); /* retains repr; checks the shape */
int64_t mcl_model_parameters(const mcl_model *model);                    /* elements of all weights, states too */
int64_t mcl_model_multiply_adds(const mcl_model *model);                 /* an inference of batch 1 */

/* ---- Sessions: a plan for one batch size. Inference (session.c): one arena by lifetimes, and nothing is allocated by
 * a run. Training (session_grad.c, the engine's): all values are kept, and each has a gradient where one is wanted. ---- */

/* A session sees the weights as they were when it was made. Of each it takes the quickest form: dense values in place
 * where the model has them, the compressed form where a product from it is quicker, else values decoded once. */
size_t mcl_session_arena(const mcl_session *session); /* bytes of values and workspace */
/* A run of the first `rows` ≤ batch of the inputs: a short last batch. */
mcl_status mcl_session_run_rows(mcl_session *session, int64_t rows);

typedef struct mcl_training_session mcl_training_session;

mcl_status mcl_training_session_new(mcl_model *model, int64_t batch, mcl_training_session **out);
/* The same, with gradients of the model's inputs besides. */
mcl_status mcl_training_session_new_full(mcl_model *model, int64_t batch, mcl_training_session **out);
void mcl_training_session_free(mcl_training_session *s);                    /* NULL is fine */
void mcl_training_session_set_seed(mcl_training_session *s, uint64_t seed); /* of dropout; preset: the context's */
float *mcl_training_session_input(mcl_training_session *s, int index);
const float *mcl_training_session_output(mcl_training_session *s, int index);
float *mcl_training_session_output_gradient(mcl_training_session *s, int index); /* to be filled before backward */
float *mcl_training_session_input_gradient(mcl_training_session *s, int index);  /* NULL but for _new_full */
/* Dense values that ops read. They are the memory of the weight's representation itself where that is dense f32 and
 * nobody else holds it (so training needs no copy); else a copy, and so always for states. */
float *mcl_training_session_weight(mcl_training_session *s, int weight);
float *mcl_training_session_weight_gradient(mcl_training_session *s, int weight); /* NULL for states and unused ones */
/* Any value of the graph as the last forward left it, by its index in model->values. */
const mcl_operand *mcl_training_session_value(const mcl_training_session *s, int value);
/* rows ≤ batch: a short last batch, of which only these rows of values and gradients are used. `step` feeds dropout;
 * training false: as in inference (batch norm, dropout), though backward may still follow. */
mcl_status mcl_training_session_forward(mcl_training_session *s, int64_t rows, uint64_t step, bool training);
mcl_status mcl_training_session_backward(mcl_training_session *s);
/* Puts the states (running statistics) that forward updated into the model, as dense weights. */
mcl_status mcl_training_session_store_states(mcl_training_session *s);

typedef mcl_status (*mcl_backward_fn)(const mcl_op_call *call);
typedef struct mcl_op_grad {
  uint8_t id;
  mcl_backward_fn backward;
} mcl_op_grad;
mcl_backward_fn mcl_op_backward(const mcl_op *op); /* NULL: has no gradient */

/* Compares gradients with central differences, in f32 with the step scaled to each value: the largest
 * |numeric − analytic| / max(1, |numeric|, |analytic|) over `samples` entries of every weight and input (0: all), in
 * training and as in inference. `loss` is Σ output · a fixed random direction; inputs are standard normal. For users'
 * own ops, losses and models. `where` names the worst entry. */
mcl_status mcl_check_gradients(mcl_model *model, int64_t batch, int samples, uint64_t seed, double *worst, char *where,
                               size_t where_size);

#endif
