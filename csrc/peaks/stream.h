// Stream: passes over memory that no cache holds, as many bytes per second as it gives.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/memory.h"

namespace graphc {

class Stream {
  public:
    // Two blocks of `words` 64-bit words, the first one 0, 1, 2, ... Throws Error: GC-M002, and
    // GC-R004 for numbers that are out of range.
    Stream(std::size_t words, int threads);

    std::size_t size() const { return words_; }

    // Reads words first .. first + count - 1 of the first block; `sum` becomes their sum. Returns
    // seconds. A range that is not all there is cut short, here and below.
    double read(std::size_t first, std::size_t count, std::uint64_t& sum) const;
    // Copies these words to the second block. Returns seconds.
    double copy(std::size_t first, std::size_t count);
    // The second block becomes the first.
    void swap();

  private:
    std::size_t words_;
    int threads_;
    Pages source_, target_;
};

}  // namespace graphc
