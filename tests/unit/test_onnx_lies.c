/* ONNX files that lie: each is refused with a message that names the file and the place, and leaves no memory behind. */
#include "unit/check.h"

#include <sys/stat.h>
#include <unistd.h>

#include "formats/onnx.h"
#include "unit/onnx_text.h"

static mcl_status read_bytes(mcl_context *ctx, const uint8_t *data, size_t size) {
  mcl_model *model;
  uint8_t *exact = malloc(size ? size : 1); /* so that a read past its end is seen */
  memcpy(exact, data, size);
  mcl_status status = mcl_onnx_read(ctx, "lie.onnx", NULL, exact, size, &model);
  mcl_model_free(model);
  free(exact);
  return status;
}

static mcl_status read_text(mcl_context *ctx, const char *text) {
  onnx_bytes *bytes = onnx_from_text(text);
  mcl_status status = read_bytes(ctx, bytes->data, bytes->size);
  free(bytes);
  return status;
}

static int check_refused(mcl_context *ctx, const char *text, mcl_status wanted, const char *message) {
  mcl_status status = read_text(ctx, text);
  const char *said = mcl_context_message(ctx);
  bool is_right = status == wanted && strstr(said, message) && !strncmp(said, "lie.onnx: ", 10);
  if (!is_right)
    print_error("%s\n  gave %s: %s\n  not %s: lie.onnx: …%s\n", text, mcl_status_name(status), said,
                mcl_status_name(wanted), message);
  assert_int_equal(mcl_context_memory(ctx), 0);
  return !is_right;
}

#define F MCL_ERROR_FORMAT
#define U MCL_ERROR_UNSUPPORTED
#define A MCL_ERROR_ARGUMENT
#define CONV "input x n 3 8 8; init w float 4 3 3 3; output y; "

static const struct lie {
  const char *text;
  mcl_status status;
  const char *message;
} lies[] = {
    /* The graph */
    {"input x n 3", F, "the graph has no output"},
    {"input x n 3; output y", F, "output \"y\" is computed by no node"},
    {"input x n 3; node Relu r x y; output y; output y", F, "output \"y\" is there twice"},
    {"input x n 3; node Relu a x y; node Tanh b x y; output y", F, "\"y\" is computed twice"},
    {"input x n 3; input x n 3; node Relu r x y; output y", F, "\"x\" is computed twice"},
    {"input x n 3; init w float 3; init w float 3; node Add a x,w y; output y", F, "\"w\" is computed twice"},
    {"input x n 3; node Relu r y z; node Relu s x y; output z", F,
     "node \"r\": op Relu uses \"y\", which no node before"},
    {"input x n 3; node Relu r y y; output y", F, "node \"r\": op Relu uses \"y\", which no node before"},
    {"input x n 3; node Relu - nothing y; output y", F, "node 0, which computes \"y\": op Relu uses \"nothing\""},
    {"input x n 3; const y float 2; output y", U, "output \"y\" is a constant"},
    {"input x n 3; init - float 2; output x", F, "initializer 0 has no name"},
    {"input - n 3; output -", F, "input 0 has no name"},
    {"opset 5; input x n 3; node Relu r x y; output y", U, "opset 5 is not read"},
    /* Inputs */
    {"input x; node Relu r x y; output y", U, "input \"x\" has no shape"},
    {"input x n 3 height 8; node Relu r x y; output y", U, "input \"x\": dimension 2 (height) has no size"},
    {"input:7 x n 3; node Relu r x y; output y", U, "input \"x\" has element type 7"},
    {"input x n 3 0; node Relu r x y; output y", U, "dimension 2 (unnamed) has no size"},
    {"input x n 1 1 1 1 1 1 1 1; node Relu r x y; output y", F, "\"x\" has more than 8 dimensions"},
    {"input x n 4611686018427387904 4; node Relu r x y; output y", A, "input \"x\""},
    /* Ops and attributes */
    {"input x n 3; node Frobnicate f x y; output y", U,
     "node \"f\": op Frobnicate is not supported; supported are Add"},
    {"input x n 3; node com.example/Relu f x y; output y", U, "node \"f\": op com.example.Relu is not supported"},
    {"input x n 3; node Relu r x y slope=2; output y", U,
     "node \"r\": attribute \"slope\" of op Relu is not supported"},
    {"input x n 3; node Relu r x,x y; output y", F, "node \"r\": op Relu has 2 inputs; it takes 1 to 1"},
    {"input x n 3; node LeakyRelu r x y alpha=2; output y", F,
     "attribute \"alpha\" of op LeakyRelu has type 2 where 1"},
    {"opset 16; input x n 3; init s float 3; node LayerNormalization l x,s y; output y", U,
     "op LayerNormalization of opset 16"},
    {"input x n 3; node Dropout d x y,mask; node Add a y,mask z; output z", U,
     "output 1 (\"mask\") of op Dropout is used"},
    {"input x n 3; init r float = .5; init t int64 = 1; node Dropout d x,r,t y; output y", U,
     "is fixed to training mode"},
    {"input x n 3; init r float = 1.5; node Dropout d x,r y; output y", F, "op Dropout drops 1.5 of its input"},
    {"input x n 3; node Clip c x,x y; output y", U, "input 1 (\"x\") of op Clip must be a constant"},
    {"input x n 3; init m float 2; node Clip c x,m y; output y", F, "input 1 of op Clip must be one number"},
    {"opset 20; input x n 3; node Gelu g x y approximate='fast'; output y", U, "Gelu of approximate=\"fast\""},
    {"input x n 3; node Cast c x y to=7; output y", U, "op Cast to element type 7"},
    {"input x n 3; node Elu e x y alpha=-1.5; output y", A, "alpha is -1.5"},
    /* Windows */
    {CONV "node Conv conv1 x,w y kernel_shape=5,5", F,
     "node \"conv1\": op Conv of kernel_shape 5x5 has a weight 4x3x3x3"},
    {CONV "node Conv conv1 x,w y pads=1,1", F, "attribute \"pads\" of op Conv has 2 numbers where 4 belong"},
    {CONV "node Conv conv1 x,w y pads=-1,0,0,0", A, "conv: pad holds -1"},
    {CONV "node Conv conv1 x,w y strides=0,1", A, "conv: stride holds 0"},
    {CONV "node Conv conv1 x,w y dilations=9,9", A, "kernel 19x19 is larger than its padded input 8x8"},
    {CONV "node Conv conv1 x,w y auto_pad='SOMEHOW'", U, "attribute auto_pad of op Conv is \"SOMEHOW\""},
    {CONV "node Conv conv1 x,w y auto_pad='SAME_UPPER' strides=9223372036854775807,1", F, "is not a sensible number"},
    {CONV "node Conv conv1 x,w y group=2", A, "2 groups wants 6 channels, not 3"},
    {"input x n 3 5 5; init w float 4 3 7 7; node Conv conv1 x,w y; output y", A,
     "node \"conv1\": kernel 7x7 is larger than its padded input 5x5"},
    {"input x n 3 8 8; init w float 4 3 3; node Conv c x,w y; output y", F,
     "op Conv has a weight 4x3x3 of 3 dimensions"},
    {"input x n 3; init w float 4 3 3 3; node Conv c x,w y; output y", U, "op Conv of an input -1x3"},
    {"input x n 3 8 8; node MaxPool p x y; output y", F, "op MaxPool has no kernel_shape"},
    {"input x n 3 8 8; node MaxPool p x y kernel_shape=9,9; output y", A, "MaxPool \"p\": node \"y\": window of 9"},
    {"input x n 3 8 8; init p int64 8 = 0 0 1 1 0 0 1 1; node Pad a x,p q; node MaxPool m q y kernel_shape=2,2; output "
     "y",
     U, "input 0 of op MaxPool comes from op Pad, which is supported before Conv alone"},
    {"input x n 3 8 8; init p int64 8 = 0 0 1 1 0 0 1 1; node Pad a x,p y; output y", U,
     "output \"y\" comes from op Pad"},
    {"input x n 3 8 8; init p int64 8 = 0 1 0 0 0 0 0 0; node Pad a x,p q; node Relu r q y; output y", U,
     "zeros around an image"},
    {"input x n 3 8 8; init p int64 4 = 1 1 1 1; node Pad a x,p q; node Relu r q y; output y", F,
     "has 4 pads for 4 axes"},
    {"input x n 3 8 8; init p int64 8 = 0 0 1 1 0 0 1 1; node Pad a x,p q mode='edge'; node Relu r q y; output y", U,
     "zeros around"},
    /* Weights */
    {"input x n 3; init w float 4 3 raw=47; node Gemm g x,w y transB=1; output y", F,
     "tensor \"w\": float of 4x3 need 48 bytes, it has 47"},
    {"input x n 3; init w float 4 3 raw=49; node Gemm g x,w y transB=1; output y", F, "need 48 bytes, it has 49"},
    {"input x n 3; init w string 4 3; node Gemm g x,w y transB=1; output y", U,
     "tensor \"w\": element type 8 is not read"},
    {"input x n 3; init w 99 4 3; node Gemm g x,w y; output y", U, "tensor \"w\": element type 99 is not read"},
    {"input x n 3; init w float 4294967296 4294967296 raw=4; node Gemm g x,w y; output y", F,
     "tensor \"w\": shape 4294967296x4294967296 is larger than any memory"},
    {"input x n 3; init w float 1099511627776 raw=4; node Add g x,w y; output y", F,
     "need 4398046511104 bytes, it has 4"},
    {"input x n 3; init w float -4 raw=4; node Add g x,w y; output y", F, "tensor \"w\": dimension 0 is negative"},
    {"input x n 3; init w float 3 = 1 nan 2; node Add a x,w y; output y", MCL_ERROR_NUMERIC, "tensor \"w\""},
    {"input x n 3; init w float 4 4; node Gemm g x,w y; output y", A, "node \"g\": linear of an input -1x3"},
    {"input x n 3; init w float 3; node Gemm g x,w y; output y", F, "input 1 of op Gemm has 1 dimensions"},
    {"input x n 3; init w float 2 at=w.bin; node Add a x,w y; output y", F, "the model was not read from a folder"},
    {"input x n 3 4; init w float 4; node BatchNormalization b x,w,w,w,w y; output y", A,
     "must be a weight that is a state"},
    {"input x n 4; init w float 4; init v float 4; node BatchNormalization b x,w,w,v,v y training_mode=1; output y", U,
     "in training mode is not supported"},
    /* Shapes */
    {"input x n 6; init s int64 2 = 4 -1; node Reshape r x,s y; output y", A,
     "the batch must stay the first dimension"},
    {"input x 2 6; init s int64 2 = 5 -1; node Reshape r x,s y; output y", A, "the elements do not divide"},
    {"input x 2 6; init s int64 3 = -1 -1 2; node Reshape r x,s y; output y", A, "only one dimension can be -1"},
    {"input x 2 6; init s int64 9 = 1 1 1 1 1 1 1 1 12; node Reshape r x,s y; output y", U,
     "op Reshape makes 9 dimensions"},
    {"input x 2 6; init s int64 17; node Reshape r x,s y; output y", F, "a list of at most 16 whole numbers"},
    {"input x 2 6; init s float 2; node Reshape r x,s y; output y", F, "a list of at most 16 whole numbers"},
    {"input x 2 6; node Reshape r x,x y; output y", U, "input 1 (\"x\") of op Reshape must be a constant"},
    {"input x 2 6; node Transpose t x y perm=0,0; output y", A, "perm must name each of its 2 axes once"},
    {"input x n 6; node Transpose t x y perm=1,0; output y", A, "moves the batch"},
    {"input x 2 6; init a int64 1 = 1; node Squeeze s x,a y; output y", F, "op Squeeze of dimension 1, which is not 1"},
    {"input x 2 6; init a int64 1 = 5; node Unsqueeze s x,a y; output y", F, "axis 5 of op Unsqueeze is outside"},
    {"input x 2 6; init a int64 2 = 1 1; node Unsqueeze s x,a y; output y", F, "axis 1 of op Unsqueeze is there twice"},
    {"input x 2 6; node Concat c x,x y; output y", F, "op Concat has no axis"},
    {"input x 2 6; node Concat c x,x y axis=7; output y", A, "axis 7"},
    {"input x 2 6; node Flatten f x y axis=9; output y", A, "flatten: axis holds 9"},
    {"input x 2 6; node Shape s x d; init i int64 1 = 9; node Gather g d,i e; node Reshape r x,e y; output y", F,
     "op Gather of element 9 of a shape of 2"},
    {"input x 2 6; init a int64 1 = 1; node ReduceMean m x,a y; output y", U, "op ReduceMean is supported over all"},
    {"input x 2 6; init b float 2 5; node Add a x,b y; output y", A, "the shapes do not broadcast"},
};

static void models_that_lie_are_refused_with_their_place(void **state) {
  int wrong = 0;
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++)
    wrong += check_refused(*state, lies[i].text, lies[i].status, lies[i].message);
  assert_int_equal(wrong, 0);
}

/* ---- Bytes that lie ---- */

static const struct raw_lie {
  const char *what;
  size_t size;
  uint8_t bytes[24];
  const char *message;
} raw_lies[] = {
    {"nothing", 0, {0}, "is not an ONNX model, or is cut short: it has no graph"},
    {"a length past the end", 3, {0x3a, 0x7f, 0}, "byte 0, in a model: field 7 claims 127 bytes, 1 are left"},
    {"a length of 2^63",
     11,
     {0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0},
     "field 7 claims 9223372036854775807"},
    {"a number of eleven bytes",
     12,
     {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
     "more than 64 bits"},
    {"a number without an end", 2, {0x08, 0xff}, "byte 1, in a model: ends within a number"},
    {"field number 0", 2, {0x00, 0x00}, "field number 0 is not one"},
    {"a group", 2, {0x0b, 0x0c}, "field 1 has wire type 3, which is none"},
    {"a fixed number cut short", 3, {0x0d, 1, 2}, "ends within a number of 4 bytes"},
    {"a version that is text", 3, {0x0a, 1, 'x'}, "field 1 has wire type 2 where 0 belongs"},
    {"a graph that is a number", 4, {0x08, 8, 0x38, 1}, "field 7 has wire type 0 where 2 belongs"},
    {"no version", 2, {0x3a, 0}, "it has no version"},
    {"two graphs", 6, {0x08, 8, 0x3a, 0, 0x3a, 0}, "the graph is there twice"},
    {"a node cut short",
     7,
     {0x08, 8, 0x3a, 3, 0x0a, 5, 0x0a},
     "byte 4, in a graph: field 1 claims 5 bytes, 1 are left"},
    {"a name with a zero byte",
     11,
     {0x08, 8, 0x3a, 7, 0x0a, 5, 0x1a, 3, 'a', 0, 'b'},
     "in a node: a string with a zero byte"},
    {"a sparse initializer", 7, {0x08, 8, 0x3a, 3, 0x7a, 1, 0}, "a sparse initializer; store it dense"},
};

static void bytes_that_lie_are_refused_with_their_offset(void **state) {
  for (size_t i = 0; i < sizeof raw_lies / sizeof *raw_lies; i++) {
    mcl_status status = read_bytes(*state, raw_lies[i].bytes, raw_lies[i].size);
    if (status != MCL_ERROR_FORMAT || !strstr(mcl_context_message(*state), raw_lies[i].message))
      fail_msg("%s: %s: %s", raw_lies[i].what, mcl_status_name(status), mcl_context_message(*state));
  }
  assert_int_equal(mcl_context_memory(*state), 0);
}

static const char whole_model[] =
    "input x n 1 6 6; init w float 2 1 3 3; init b float 2; init f float16 3 32; init g typed 3; const h double 3;"
    "node Conv conv x,w,b c pads=1,1,1,1; node Relu - c d; node MaxPool p d e kernel_shape=2,2 strides=2,2;"
    "node Shape - e s; init i int64 = 0; init z int64 1 = 0; init m int64 1 = -1; node Gather - s,i n;"
    "node Unsqueeze - n,z o; node Concat - o,m q axis=0; node Reshape r e,q k; init v float 18 3; node Gemm fc k,v,g l;"
    "node Mul t l,h y; output y";

static void every_truncation_is_refused_or_harmless(void **state) {
  onnx_bytes *bytes = onnx_from_text(whole_model);
  assert_ok(*state, read_bytes(*state, bytes->data, bytes->size));
  int refused = 0;
  for (size_t cut = 0; cut < bytes->size; cut++) refused += read_bytes(*state, bytes->data, cut) != MCL_OK;
  assert_int_equal(refused, bytes->size); /* the opset comes last, so no cut leaves a whole model */
  assert_int_equal(mcl_context_memory(*state), 0);
  free(bytes);
}

static void every_changed_byte_is_refused_or_harmless(void **state) {
  onnx_bytes *bytes = onnx_from_text(whole_model);
  for (size_t at = 0; at < bytes->size; at++)
    for (int bit = 0; bit < 8; bit++) {
      bytes->data[at] ^= (uint8_t)(1 << bit);
      mcl_status status = read_bytes(*state, bytes->data, bytes->size);
      if (status) assert_non_null(strstr(mcl_context_message(*state), "lie.onnx"));
      bytes->data[at] ^= (uint8_t)(1 << bit);
    }
  assert_int_equal(mcl_context_memory(*state), 0);
  free(bytes);
}

static void memory_that_runs_out_anywhere_is_given_back(void **state) {
  (void)state;
  onnx_bytes *bytes = onnx_from_text(whole_model);
  bool is_enough = false;
  for (size_t limit = 4096; !is_enough && limit < (4 << 20); limit += 997) {
    mcl_context *ctx;
    mcl_options options = {.threads = 1, .memory_limit = limit};
    assert_int_equal(mcl_context_new(&options, &ctx), MCL_OK);
    mcl_status status = read_bytes(ctx, bytes->data, bytes->size);
    is_enough = status == MCL_OK;
    if (!is_enough) assert_int_equal(status, MCL_ERROR_MEMORY);
    assert_int_equal(mcl_context_memory(ctx), 0);
    mcl_context_free(ctx);
  }
  assert_true(is_enough);
  free(bytes);
}

/* ---- External data that leads elsewhere ---- */

static void save_text(const char *path, const char *text) {
  onnx_bytes *bytes = onnx_from_text(text);
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  fwrite(bytes->data, 1, bytes->size, file);
  fclose(file);
  free(bytes);
}

static void external_data_stays_in_the_models_folder(void **state) {
  static const struct {
    const char *location, *message;
  } places[] = {
      {"../secret.bin", "must be a path within the model's own folder"},
      {"data/../../secret.bin", "must be a path within the model's own folder"},
      {"..", "must be a path within the model's own folder"},
      {"/etc/hostname", "must be a path within the model's own folder"},
      {"data\\..\\secret.bin", "must be a path within the model's own folder"},
      {"link.bin", "leads out of the model's own folder"},
      {"linked/secret.bin", "leads out of the model's own folder"},
      {"absent.bin", "No such file"},
      {"data", "is not a regular file"},
      {"short.bin", "16 bytes from 0 on are wanted, the file has 15"},
      {"whole.bin offset=1", "16 bytes from 1 on are wanted, the file has 16"},
      {"whole.bin offset=18446744073709551615", "are wanted, the file has 16"},
      {"whole.bin offset=18446744073709551616", "does not fit 64 bits"},
      {"whole.bin offset=-1", "is not a number"},
      {"whole.bin length=15", "its length is not what the shape needs"},
  };
  mkdir("onnx_home", 0755);
  mkdir("onnx_home/data", 0755);
  mkdir("onnx_other", 0755);
  FILE *file = fopen("onnx_other/secret.bin", "wb");
  fwrite("0123456789abcdef", 1, 16, file);
  fclose(file);
  file = fopen("onnx_home/short.bin", "wb");
  fwrite("0123456789abcde", 1, 15, file);
  fclose(file);
  file = fopen("onnx_home/whole.bin", "wb");
  fwrite("\0\0\200?\0\0\0@\0\0@@\0\0\200@", 1, 16, file); /* 1 2 3 4 */
  fclose(file);
  unlink("onnx_home/link.bin");
  unlink("onnx_home/linked");
  assert_int_equal(symlink("../onnx_other/secret.bin", "onnx_home/link.bin"), 0);
  assert_int_equal(symlink("../onnx_other", "onnx_home/linked"), 0);
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    char text[256];
    mcl_model *model;
    snprintf(text, sizeof text, "input x n 4; init w float 4 at=%s; node Add a x,w y; output y", places[i].location);
    save_text("onnx_home/m.onnx", text);
    mcl_status status = mcl_onnx_load_model(*state, "onnx_home/m.onnx", &model);
    if (!status || !strstr(mcl_context_message(*state), places[i].message))
      fail_msg("%s: %s: %s", places[i].location, mcl_status_name(status), mcl_context_message(*state));
  }
  mcl_model *model;
  save_text("onnx_home/m.onnx",
            "input x n 4; init w float 4 at=./whole.bin offset=0 length=16; node Add a x,w y; output y");
  assert_ok(*state, mcl_onnx_load_model(*state, "onnx_home/m.onnx", &model));
  mcl_tensor *w;
  assert_ok(*state, mcl_weight_values(model, mcl_model_find_weight(model, "w"), &w));
  for (int i = 0; i < 4; i++) assert_true(mcl_tensor_f32(w)[i] == (float)(i + 1));
  mcl_model_free(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      context_test(models_that_lie_are_refused_with_their_place),
      context_test(bytes_that_lie_are_refused_with_their_offset),
      context_test(every_truncation_is_refused_or_harmless),
      context_test(every_changed_byte_is_refused_or_harmless),
      cmocka_unit_test(memory_that_runs_out_anywhere_is_given_back),
      context_test(external_data_stays_in_the_models_folder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
