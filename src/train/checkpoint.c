/* Checkpoints of a fit: written whole or not at all, after each epoch. Read back on the same kind of machine, so
 * numbers are stored as memory has them:
 *   magic, fingerprint, the sizes, mcl_fit_place, floats (what mcl_fit_copy_out gives, the optimiser's memory, the best), XXH3-64 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/file.h"
#include "train/fit_state.h"

static const char magic[8] = "mclfit2";

typedef struct header {
  char magic[8];
  uint64_t fingerprint;
  int64_t total, saved_total, slots, has_best;
  mcl_fit_place place;
} header;

uint64_t mcl_fit_fingerprint(const mcl_fit_state *s, uint64_t options) {
  uint64_t hash = XXH3_64bits_withSeed(s->saved, (size_t)s->saved_total * sizeof(float), options);
  for (int i = 0; i < s->weight_count; i++) {
    const char *name = s->model->weights[s->weights[i].weight].name;
    hash = XXH3_64bits_withSeed(name, strlen(name), hash);
  }
  return hash;
}

static header header_of(const mcl_fit_state *s, uint64_t fingerprint) {
  header head;
  memset(&head, 0, sizeof head); /* padding too: it is written and hashed */
  memcpy(head.magic, magic, sizeof head.magic);
  head.fingerprint = fingerprint;
  head.total = s->total;
  head.saved_total = s->saved_total;
  head.slots = s->optimiser->slots;
  head.has_best = s->best != NULL;
  return head;
}

/* The arrays of floats in the order of the file; returns how many. */
static int arrays_of(const mcl_fit_state *s, float **array, size_t *size) {
  size_t total = (size_t)s->total * sizeof(float), all = (size_t)s->saved_total * sizeof(float);
  int count = 0;
  array[count] = s->saved, size[count++] = all;
  for (int slot = 0; slot < s->optimiser->slots; slot++) array[count] = s->memory[slot], size[count++] = total;
  if (s->best) array[count] = s->best, size[count++] = all;
  return count;
}

mcl_status mcl_fit_checkpoint_save(const mcl_fit_state *s, const char *path, uint64_t fingerprint,
                                   const mcl_fit_place *place) {
  float *array[2 + MCL_OPTIMISER_SLOTS];
  size_t size[2 + MCL_OPTIMISER_SLOTS];
  header head = header_of(s, fingerprint);
  memcpy(&head.place, place, sizeof *place);
  mcl_file_writer *writer;
  MCL_TRY(mcl_file_writer_open(s->ctx, path, &writer));
  uint64_t hash = XXH3_64bits(&head, sizeof head);
  mcl_status status = mcl_file_write(writer, &head, sizeof head);
  int count = arrays_of(s, array, size);
  for (int i = 0; i < count && !status; i++) {
    hash = XXH3_64bits_withSeed(array[i], size[i], hash);
    status = mcl_file_write(writer, array[i], size[i]);
  }
  if (!status) status = mcl_file_write(writer, &hash, sizeof hash);
  if (!status) return mcl_file_commit(writer);
  mcl_file_abandon(writer);
  return status;
}

static mcl_status damaged(mcl_context *ctx, const char *path) {
  return mcl_fail(ctx, MCL_ERROR_FORMAT, "%s: the checkpoint is damaged; remove it to train from the beginning", path);
}

/* Can a fit have come to this place? A checksum tells of damage, not of a writer that was wrong. */
static bool is_possible(const uint8_t *stored) {
  mcl_fit_place place;
  uint8_t is_stopped =
      stored[offsetof(mcl_fit_place, is_stopped)]; /* read as a number first: not every byte is a bool */
  if (is_stopped > 1) return false;
  memcpy(&place, stored, sizeof place);
  return place.epochs_done >= 0 && place.step >= 0 && place.best_epoch >= 0 && place.best_epoch <= place.epochs_done;
}

static mcl_status read_arrays(mcl_fit_state *s, const mcl_file_map *map, const char *path, mcl_fit_place *place,
                              bool *found) {
  float *array[2 + MCL_OPTIMISER_SLOTS];
  size_t size[2 + MCL_OPTIMISER_SLOTS], wanted = sizeof(header) + sizeof(uint64_t), at = sizeof(header);
  header head;
  memcpy(&head, map->data, sizeof head);
  int count = arrays_of(s, array, size);
  for (int i = 0; i < count; i++) wanted += size[i];
  if (map->size != wanted) return damaged(s->ctx, path);
  uint64_t hash = XXH3_64bits(&head, sizeof head), stored;
  for (int i = 0; i < count; at += size[i++]) hash = XXH3_64bits_withSeed(map->data + at, size[i], hash);
  memcpy(&stored, map->data + at, sizeof stored);
  if (stored != hash || !is_possible(map->data + offsetof(header, place))) return damaged(s->ctx, path);
  at = sizeof(header);
  for (int i = 0; i < count; at += size[i++]) memcpy(array[i], map->data + at, size[i]);
  memcpy(place, &head.place, sizeof *place);
  *found = true;
  return mcl_fit_copy_in(s, s->saved);
}

mcl_status mcl_fit_checkpoint_load(mcl_fit_state *s, const char *path, uint64_t fingerprint, mcl_fit_place *place,
                                   bool *found) {
  *found = false;
  if (access(path, F_OK) && errno == ENOENT) return MCL_OK;
  mcl_file_map *map;
  MCL_TRY(mcl_file_map_open(s->ctx, path, &map));
  header wanted = header_of(s, fingerprint);
  mcl_status status = MCL_OK;
  if (map->size < sizeof wanted || memcmp(map->data, magic, sizeof magic))
    status = damaged(s->ctx, path);
  else if (memcmp(map->data, &wanted, offsetof(header, place)))
    mcl_log(s->ctx, MCL_LOG_WARNING, "%s: is of another training (model, data or options differ): beginning anew",
            path);
  else
    status = read_arrays(s, map, path, place, found);
  mcl_file_map_release(map);
  return status;
}
