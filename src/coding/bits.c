/* Bits: the reader that never passes its end. */
#include "coding/bits.h"

uint64_t mcl_bits_peek(const mcl_bit_reader *reader) {
  size_t byte = reader->at >> 3;
  uint64_t word = 0;
  if (byte + 8 <= reader->size) {
    word = mcl_load_word(reader->data + byte);
  } else {
    for (size_t i = byte; i < reader->size; i++) word |= (uint64_t)reader->data[i] << (8 * (i - byte));
  }
  return word >> (reader->at & 7);
}

bool mcl_bits_all_read(const mcl_bit_reader *reader) {
  if ((reader->at + 7) >> 3 != reader->size) return false;
  int over = (int)(8 * reader->size - reader->at);
  return over == 0 || reader->data[reader->size - 1] >> (8 - over) == 0;
}
