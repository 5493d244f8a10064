/* Bits, least significant first: bit i of a stream is bit i % 8 of byte i / 8, and a number's low bit comes first. */
#ifndef MCL_CODING_BITS_H
#define MCL_CODING_BITS_H

#include "base/bytes.h"

/* The same as mcl_load_u64 and mcl_store_u64, but one instruction where the machine allows. */
static inline uint64_t mcl_load_word(const uint8_t *p) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  uint64_t word;
  memcpy(&word, p, sizeof word);
  return word;
#else
  return mcl_load_u64(p);
#endif
}
static inline void mcl_store_word(uint8_t *p, uint64_t word) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  memcpy(p, &word, sizeof word);
#else
  mcl_store_u64(p, word);
#endif
}

/* The fewest bits that tell `alphabet` symbols apart: 0 for one, 5 for 17 to 32. */
static inline int mcl_bits_for(uint32_t alphabet) { return alphabet < 2 ? 0 : 32 - __builtin_clz(alphabet - 1); }

/* Writing. The caller has made sure of room, and of 8 bytes past it. */
typedef struct mcl_bit_writer {
  uint8_t *at;
  uint64_t held;
  int count; /* bits in held, below 8 after a flush */
} mcl_bit_writer;

static inline void mcl_bits_put(mcl_bit_writer *writer, uint64_t value, int count) { /* up to 56 bits between flushes */
  writer->held |= value << writer->count;
  writer->count += count;
}
static inline void mcl_bits_flush(mcl_bit_writer *writer) {
  mcl_store_word(writer->at, writer->held);
  writer->at += writer->count >> 3;
  writer->held >>= writer->count & ~7;
  writer->count &= 7;
}
/* Fills the last byte with zero bits; returns the end. */
static inline uint8_t *mcl_bits_end(mcl_bit_writer *writer) {
  mcl_bits_flush(writer);
  if (writer->count) writer->at++;
  writer->held = 0, writer->count = 0;
  return writer->at;
}

/* Reading with care: past the end there are zeros, and `at` says how far was read. */
typedef struct mcl_bit_reader {
  const uint8_t *data;
  size_t size;
  size_t at; /* in bits */
} mcl_bit_reader;

/* The next bits, at least 56 of them, not yet taken. */
uint64_t mcl_bits_peek(const mcl_bit_reader *reader);

static inline uint32_t mcl_bits_take(mcl_bit_reader *reader, int count) { /* up to 32 */
  uint64_t bits = mcl_bits_peek(reader);
  reader->at += (size_t)count;
  return (uint32_t)(bits & (((uint64_t)1 << count) - 1));
}
/* Every byte was needed, none was missing, and the bits left over are zero. */
bool mcl_bits_all_read(const mcl_bit_reader *reader);

#endif
