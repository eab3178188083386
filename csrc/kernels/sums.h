// Sums over many elements: pieces of fixed length, each summed by one thread, added up in order.
// So the result does not depend on how many threads there are.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/split.h"

namespace graphc {

constexpr std::int64_t kPiece = 16384;

inline std::int64_t pieces_of(std::int64_t count) { return (count + kPiece - 1) / kPiece; }

// `partial` has room for `items` doubles; body(item) gives each item's sum.
template <class Body>
double ordered_sum(std::int64_t items, double* partial, int threads, const Body& body) {
    split(items, threads, [&](std::int64_t from, std::int64_t to) {
        for (std::int64_t i = from; i < to; ++i) partial[i] = body(i);
    });
    double total = 0;
    for (std::int64_t i = 0; i < items; ++i) total += partial[i];
    return total;
}

// The same over elements 0 .. count - 1; `partial` has pieces_of(count) doubles, and body(from, to)
// gives the sum of a piece.
template <class Body>
double piecewise_sum(std::int64_t count, double* partial, int threads, const Body& body) {
    return ordered_sum(pieces_of(count), partial, threads, [&](std::int64_t piece) {
        return body(piece * kPiece, std::min(count, (piece + 1) * kPiece));
    });
}

}  // namespace graphc
