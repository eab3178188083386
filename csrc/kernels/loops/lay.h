// Part of gemm_loops.h: how the input of a convolution is laid out for tiles.
#pragma once

#include "kernels/loops/finish.h"

namespace graphc {

// Channels lie too far apart for the hardware to guess where reading goes on.
constexpr int kAhead = 4;

template <class S, int Step, int Pieces>
void lay_rows(const LayJob& job, const float* source, int vectors, float* to, std::int64_t row) {
    const int pieces = Pieces ? Pieces : job.pieces_per_tap;
    const std::int64_t per_vector = std::int64_t(job.table_taps) * pieces;
    std::int64_t tap = job.k0 % job.taps;
    source += job.k0 / job.taps * job.channel_step;
    for (std::int64_t k = job.k0; k < job.k1; ++k) {
        const Piece* table = job.pieces + (tap - job.first_tap) * pieces;
        for (int v = 0; v < vectors; ++v) {
            typename S::Reg made = S::zero();
            for (int q = 0; q < pieces; ++q) {
                if (!Pieces && table[q].mask == 0) break;
                made = S::template put<Step>(made, source, table[q], job.step);
                prefetch(source + kAhead * job.channel_step + table[q].from);
            }
            S::store(to + v * S::width, made);
            table += per_vector;
        }
        to += row;
        if (++tap == job.taps) {
            tap = 0;
            source += job.channel_step;
        }
    }
}

template <class S, int Step>
void lay_stepped(const LayJob& job, const float* source, int vectors, float* to, std::int64_t row) {
    switch (job.pieces_per_tap) {
        case 1:
            return lay_rows<S, Step, 1>(job, source, vectors, to, row);
        case 2:
            return lay_rows<S, Step, 2>(job, source, vectors, to, row);
        case 3:
            return lay_rows<S, Step, 3>(job, source, vectors, to, row);
        default:
            return lay_rows<S, Step, 0>(job, source, vectors, to, row);
    }
}

template <class S>
void lay(const LayJob& job, const float* source, int vectors, float* to, std::int64_t row) {
    if (job.step == 1) return lay_stepped<S, 1>(job, source, vectors, to, row);
    if (job.step == 2) return lay_stepped<S, 2>(job, source, vectors, to, row);
    if (job.step == 4) return lay_stepped<S, 4>(job, source, vectors, to, row);
    lay_stepped<S, 0>(job, source, vectors, to, row);
}

}  // namespace graphc
