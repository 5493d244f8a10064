/* NumPy's .npz: a zip of .npy members. Read and written by libzip. What a member says of its size is believed only as far
 * as the archive's own bytes can unfold to (deflate's bound) and only if its npy header agrees, so neither a zip
 * bomb nor overlapping members take more memory than the file could honestly fill. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zip.h>

#include "base/file.h"
#include "formats/arrays.h"

#define MEMBERS_MOST 65536
#define PREFIX 65548 /* an npy header and what precedes it, at most */

/* One member being read. */
typedef struct npz_member {
  mcl_context *ctx;
  char *label; /* "x.npz: member weight", for messages */
  zip_file_t *file;
  size_t size; /* of the member, unfolded, as the archive says */
  size_t read; /* of it so far */
} npz_member;

static mcl_status member_read(npz_member *member, uint8_t *to, size_t size) {
  while (size) {
    size_t chunk = size > (1u << 20) ? 1u << 20 : size;
    zip_int64_t got = zip_fread(member->file, to, chunk);
    if (got < 0)
      return mcl_fail(member->ctx, MCL_ERROR_FORMAT, "%s: is damaged at byte %zu: %s", member->label, member->read,
                      zip_file_strerror(member->file));
    if (got == 0)
      return mcl_fail(member->ctx, MCL_ERROR_FORMAT, "%s: ends at byte %zu of %zu", member->label, member->read,
                      member->size);
    to += got;
    size -= (size_t)got;
    member->read += (size_t)got;
    MCL_TRY(mcl_check_cancel(member->ctx));
  }
  return MCL_OK;
}

/* The size in the npy header has been checked against member->size by mcl_npy_parse. A plain array is unfolded
 * straight into its tensor; one that must be converted goes through a buffer. */
static mcl_status member_elements(npz_member *member, const uint8_t *prefix, size_t prefix_size,
                                  const mcl_npy_info *info, mcl_tensor **out) {
  mcl_context *ctx = member->ctx;
  bool plain = mcl_npy_is_plain(info);
  size_t bytes = info->count * info->element_size, have = prefix_size - info->offset;
  uint8_t *buffer = NULL, *to;
  mcl_tensor *t = NULL;
  mcl_status status;
  if (plain) {
    if ((status = mcl_tensor_new_raw(ctx, info->dtype, info->shape, &t))) return status;
    to = t->data;
  } else {
    if ((status = mcl_alloc(ctx, bytes, &buffer))) return status;
    to = buffer;
  }
  if (have) memcpy(to, prefix + info->offset, have);
  status = member_read(member, to + have, bytes - have);
  uint8_t end;
  if (!status && zip_fread(member->file, &end, 1) != 0) /* libzip compares the checksum when it meets the end */
    status = mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: is damaged at its end: %s", member->label,
                      zip_file_strerror(member->file));
  if (!status && !plain) status = mcl_npy_elements(ctx, member->label, info, buffer, &t);
  mcl_free(ctx, buffer);
  if (status)
    mcl_tensor_release(t);
  else
    *out = t;
  return status;
}

static mcl_status member_tensor(npz_member *member, mcl_tensor **out) {
  mcl_context *ctx = member->ctx;
  uint8_t *prefix;
  size_t prefix_size = member->size < PREFIX ? member->size : PREFIX;
  mcl_npy_info info;
  MCL_TRY(mcl_alloc(ctx, prefix_size, &prefix));
  mcl_status status = member_read(member, prefix, prefix_size);
  if (!status) status = mcl_npy_parse(ctx, member->label, prefix, prefix_size, member->size, &info);
  if (!status) status = member_elements(member, prefix, prefix_size, &info, out);
  mcl_free(ctx, prefix);
  return status;
}

static mcl_status label_of(mcl_context *ctx, const char *name, const char *member, char **out) {
  size_t room = strlen(name) + strlen(member) + 16;
  MCL_TRY(mcl_alloc(ctx, room, out));
  snprintf(*out, room, "%s: member %s", name, member);
  return MCL_OK;
}

static bool is_wanted(const char *const *wanted, const char *name) {
  for (int i = 0; wanted && wanted[i]; i++)
    if (!strcmp(wanted[i], name)) return true;
  return !wanted;
}

/* *budget: how many compressed bytes the members not yet seen may have. A member that is not wanted gives its name. */
static mcl_status read_member(mcl_context *ctx, const char *name, zip_t *archive, zip_uint64_t index, size_t *budget,
                              const char *const *wanted, mcl_named_tensor *out, bool *taken) {
  zip_stat_t stat;
  const zip_uint64_t needed = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_ENCRYPTION_METHOD;
  *taken = false;
  if (zip_stat_index(archive, index, 0, &stat) || (stat.valid & needed) != needed)
    return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: member %llu has no name or size: %s", name, (unsigned long long)index,
                    zip_strerror(archive));
  size_t length = strlen(stat.name);
  if (length < 5 || strcmp(stat.name + length - 4, ".npy")) {
    if (!wanted) mcl_log(ctx, MCL_LOG_WARNING, "%s: member %s is not a .npy and is left out", name, stat.name);
    return MCL_OK;
  }
  npz_member member = {.ctx = ctx};
  char *tensor_name;
  MCL_TRY(mcl_strdup(ctx, stat.name, &tensor_name));
  tensor_name[length - 4] = 0;
  mcl_status status = MCL_OK;
  if (!is_wanted(wanted, tensor_name)) goto named;
  if ((status = label_of(ctx, name, stat.name, &member.label))) goto done;
  if (stat.encryption_method != ZIP_EM_NONE)
    status = mcl_fail(ctx, MCL_ERROR_UNSUPPORTED, "%s: is encrypted; save it without a password", member.label);
  else if (stat.comp_size > *budget)
    status = mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: its %llu bytes are more than the archive has left", member.label,
                      (unsigned long long)stat.comp_size);
  else if (stat.size > mcl_deflate_bound((size_t)stat.comp_size))
    status = mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: %llu bytes cannot unfold to the %llu that it claims", member.label,
                      (unsigned long long)stat.comp_size, (unsigned long long)stat.size);
  if (status) goto done;
  *budget -= (size_t)stat.comp_size;
  member.size = (size_t)stat.size;
  member.file = zip_fopen_index(archive, index, 0);
  if (!member.file) {
    status = mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: cannot be opened: %s", member.label, zip_strerror(archive));
    goto done;
  }
  if ((status = member_tensor(&member, &out->tensor))) goto done;
  out->file_bytes = (size_t)stat.comp_size;
named:
  out->name = tensor_name;
  tensor_name = NULL;
  *taken = true;
done:
  if (member.file) zip_fclose(member.file);
  mcl_free(ctx, tensor_name);
  mcl_free(ctx, member.label);
  return status;
}

void mcl_tensor_list_free(mcl_context *ctx, mcl_named_tensor *list, int count) {
  for (int i = 0; list && i < count; i++) {
    mcl_free(ctx, list[i].name);
    mcl_tensor_release(list[i].tensor);
  }
  mcl_free(ctx, list);
}

mcl_status mcl_npz_read(mcl_context *ctx, const char *name, const uint8_t *data, size_t size, const char *const *wanted,
                        mcl_named_tensor **out, int *count) {
  zip_error_t error;
  zip_error_init(&error);
  *out = NULL;
  *count = 0;
  zip_source_t *source = zip_source_buffer_create(data, size, 0, &error);
  zip_t *archive = source ? zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error) : NULL;
  mcl_named_tensor *list = NULL;
  mcl_status status = MCL_OK;
  int taken = 0;
  if (!archive) {
    status = mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: is not a .npz archive, or is damaged: %s", name,
                      zip_error_strerror(&error));
    zip_source_free(source);
    goto done;
  }
  zip_int64_t members = zip_get_num_entries(archive, 0);
  if (members > MEMBERS_MOST) {
    status = mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: %lld members; at most %d are read", name, (long long)members,
                      MEMBERS_MOST);
    goto done;
  }
  if ((status = mcl_alloc_zero(ctx, (size_t)members * sizeof *list, &list))) goto done;
  size_t budget = size;
  for (zip_int64_t i = 0; i < members && !status; i++) {
    bool is_tensor;
    status = read_member(ctx, name, archive, (zip_uint64_t)i, &budget, wanted, &list[taken], &is_tensor);
    if (!status && is_tensor) taken++;
  }
  if (!status && !taken) status = mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: holds no .npy member", name);
done:
  if (archive) zip_discard(archive);
  zip_error_fini(&error);
  if (status) {
    mcl_tensor_list_free(ctx, list, taken);
    return status;
  }
  *out = list;
  *count = taken;
  return MCL_OK;
}

mcl_status mcl_npz_load_some(mcl_context *ctx, const char *path, const char *const *wanted, mcl_named_tensor **out,
                             int *count) {
  mcl_file_map *map;
  *out = NULL;
  *count = 0;
  MCL_TRY(mcl_file_map_open(ctx, path, &map));
  mcl_status status = mcl_npz_read(ctx, path, map->data, map->size, wanted, out, count);
  mcl_file_map_release(map);
  return status;
}

mcl_status mcl_npz_load(mcl_context *ctx, const char *path, mcl_named_tensor **out, int *count) {
  return mcl_npz_load_some(ctx, path, NULL, out, count);
}

/* ---- Writing ---- */

/* Headers and converted tensors must live until the archive is closed: libzip reads its sources only then. */
typedef struct npz_pending {
  mcl_buffer header;
  mcl_tensor *stored;
  char *member;
} npz_pending;

static mcl_status add_member(mcl_context *ctx, const char *path, zip_t *archive, const mcl_named_tensor *named,
                             bool compress, npz_pending *pending) {
  size_t room = strlen(named->name) + 5;
  pending->header.ctx = ctx;
  MCL_TRY(mcl_npy_storable(named->tensor, &pending->stored));
  MCL_TRY(mcl_npy_header(pending->stored, &pending->header));
  MCL_TRY(mcl_alloc(ctx, room, &pending->member));
  snprintf(pending->member, room, "%s.npy", named->name);
  mcl_tensor *t = pending->stored;
  zip_buffer_fragment_t parts[2] = {{pending->header.data, pending->header.size},
                                    {t->data, (zip_uint64_t)t->count * mcl_dtype_size(t->dtype)}};
  zip_source_t *source = zip_source_buffer_fragment(archive, parts, parts[1].length ? 2 : 1, 0);
  zip_int64_t index = source ? zip_file_add(archive, pending->member, source, ZIP_FL_ENC_UTF_8) : -1;
  if (index < 0) {
    zip_source_free(source);
    bool is_name = zip_error_code_zip(zip_get_error(archive)) == ZIP_ER_INVAL;
    return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "%s: member \"%.200s\": %s", path, pending->member,
                    is_name ? "its name is not UTF-8, as NumPy wants it; save a .gguf or .onnx"
                            : zip_strerror(archive));
  }
  if (zip_set_file_compression(archive, (zip_uint64_t)index, compress ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0) ||
      zip_file_set_dostime(archive, (zip_uint64_t)index, 0, 33, 0)) /* 1980-01-01: same tensors, same bytes */
    return mcl_fail(ctx, MCL_ERROR_IO, "%s: member %s: %s", path, pending->member, zip_strerror(archive));
  return MCL_OK;
}

/* What libzip writes to, at the place that it says: a temporary file. */
typedef struct npz_sink {
  int fd;
  zip_uint64_t at, end;
  zip_error_t error;
} npz_sink;

static zip_int64_t sink_write(npz_sink *sink, const void *data, zip_uint64_t size) {
  zip_uint64_t done = 0;
  while (done < size) {
    size_t part = size - done < (1u << 30) ? (size_t)(size - done) : (1u << 30);
    ssize_t n = pwrite(sink->fd, (const char *)data + done, part, (off_t)(sink->at + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      zip_error_set(&sink->error, ZIP_ER_WRITE, errno);
      return -1;
    }
    done += (zip_uint64_t)n;
  }
  sink->at += size;
  if (sink->at > sink->end) sink->end = sink->at;
  return (zip_int64_t)size;
}

static zip_int64_t sink_seek(npz_sink *sink, void *data, zip_uint64_t size) {
  zip_int64_t to = zip_source_seek_compute_offset(sink->at, sink->end, data, size, &sink->error);
  if (to >= 0) sink->at = (zip_uint64_t)to;
  return to >= 0 ? 0 : -1;
}

static zip_int64_t sink_command(void *user, void *data, zip_uint64_t size, zip_source_cmd_t command) {
  npz_sink *sink = user;
  switch (command) {
  case ZIP_SOURCE_BEGIN_WRITE:
    sink->at = sink->end = 0;
    return 0;
  case ZIP_SOURCE_WRITE:
    return sink_write(sink, data, size);
  case ZIP_SOURCE_SEEK_WRITE:
    return sink_seek(sink, data, size);
  case ZIP_SOURCE_TELL_WRITE:
    return (zip_int64_t)sink->at;
  case ZIP_SOURCE_STAT:
    zip_stat_init(data);
    return sizeof(zip_stat_t);
  case ZIP_SOURCE_ERROR:
    return zip_error_to_data(&sink->error, data, size);
  case ZIP_SOURCE_SUPPORTS: /* reading must be claimed of an archive; a truncated one is never read */
    return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT,
                                          ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL,
                                          ZIP_SOURCE_SUPPORTS, ZIP_SOURCE_BEGIN_WRITE, ZIP_SOURCE_COMMIT_WRITE,
                                          ZIP_SOURCE_ROLLBACK_WRITE, ZIP_SOURCE_WRITE, ZIP_SOURCE_SEEK_WRITE,
                                          ZIP_SOURCE_TELL_WRITE, ZIP_SOURCE_REMOVE, -1);
  case ZIP_SOURCE_OPEN:
  case ZIP_SOURCE_COMMIT_WRITE:
  case ZIP_SOURCE_ROLLBACK_WRITE:
  case ZIP_SOURCE_REMOVE:
  case ZIP_SOURCE_CLOSE:
  case ZIP_SOURCE_FREE:
    return 0;
  default:
    zip_error_set(&sink->error, ZIP_ER_OPNOTSUPP, 0);
    return -1;
  }
}

static int is_cancelled(zip_t *archive, void *ctx) {
  (void)archive;
  return mcl_check_cancel(ctx) != MCL_OK;
}

static zip_t *open_archive(mcl_context *ctx, npz_sink *sink) {
  zip_error_init(&sink->error);
  zip_source_t *source = zip_source_function_create(sink_command, sink, &sink->error);
  zip_t *archive = source ? zip_open_from_source(source, ZIP_CREATE | ZIP_TRUNCATE, &sink->error) : NULL;
  if (!archive)
    zip_source_free(source);
  else
    zip_register_cancel_callback_with_state(archive, is_cancelled, NULL, ctx);
  return archive;
}

static mcl_status write_archive(mcl_context *ctx, const char *path, npz_sink *sink, const mcl_named_tensor *tensors,
                                int count, bool compress) {
  npz_pending *pending;
  MCL_TRY(mcl_alloc_zero(ctx, (size_t)count * sizeof *pending, &pending));
  mcl_status status = MCL_OK;
  zip_t *archive = open_archive(ctx, sink);
  if (!archive)
    status = mcl_fail(ctx, MCL_ERROR_IO, "%s: cannot be written: %s", path, zip_error_strerror(&sink->error));
  for (int i = 0; i < count && !status; i++)
    status = add_member(ctx, path, archive, &tensors[i], compress, &pending[i]);
  if (!status && zip_close(archive)) {
    status = mcl_check_cancel(ctx); /* the message is its own, then */
    if (!status) status = mcl_fail(ctx, MCL_ERROR_IO, "%s: cannot be written: %s", path, zip_strerror(archive));
  } else if (!status) {
    archive = NULL;
    status = mcl_check_cancel(ctx); /* libzip does not hear one that comes at its last question */
  }
  if (archive) zip_discard(archive);
  zip_error_fini(&sink->error);
  for (int i = 0; i < count; i++) {
    mcl_buffer_free(&pending[i].header);
    mcl_tensor_release(pending[i].stored);
    mcl_free(ctx, pending[i].member);
  }
  mcl_free(ctx, pending);
  return status;
}

mcl_status mcl_npz_save(mcl_context *ctx, const char *path, const mcl_named_tensor *tensors, int count, bool compress) {
  mcl_file_place place;
  npz_sink sink = {.fd = -1};
  mcl_status status = MCL_OK;
  if (count < 1) return mcl_fail(ctx, MCL_ERROR_ARGUMENT, "%s: an archive of no tensors cannot be written", path);
  MCL_TRY(mcl_file_place_open(ctx, path, &place, &sink.fd));
  if (!place.temporary)
    status = mcl_fail(ctx, MCL_ERROR_IO, "%s: is no ordinary file, and an archive is not written in one go", path);
  if (!status) status = write_archive(ctx, path, &sink, tensors, count, compress);
  if (!status) status = mcl_file_place_commit(ctx, &place, sink.fd);
  mcl_file_place_free(ctx, &place);
  close(sink.fd);
  return status;
}

/* The weights of a model by name, as f32. */
mcl_status mcl_npz_save_model(mcl_model *model, const char *path, const mcl_artifact_options *options) {
  mcl_context *ctx = model->ctx;
  mcl_named_tensor *list;
  (void)options;
  MCL_TRY(mcl_alloc_zero(ctx, (size_t)model->weight_count * sizeof *list, &list));
  mcl_status status = MCL_OK;
  for (int i = 0; !status && i < model->weight_count; i++) {
    status = mcl_weight_load(model, i);
    if (!status) status = mcl_strdup(ctx, model->weights[i].name, &list[i].name);
    if (!status) status = mcl_repr_values(model->weights[i].repr, &list[i].tensor);
  }
  if (!status) status = mcl_npz_save(ctx, path, list, model->weight_count, false);
  mcl_tensor_list_free(ctx, list, model->weight_count);
  return status;
}
