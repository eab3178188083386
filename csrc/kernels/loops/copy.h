// Part of gemm_loops.h: how planes are copied with their padding.
#pragma once

#include "kernels/loops/finish.h"

namespace graphc {

// `IsShort`: rows are one vector.
template <class S, int Step, bool IsShort>
void copy_rows(const CopyJob& job) {
    constexpr int width = S::width;
    const std::int64_t pitch = job.pitch;
    const Piece only = job.pieces[0];
    float* to = job.to;
    std::int64_t y = job.first;
    for (std::int64_t i = 0; i < job.rows; ++i, y += job.stride, to += pitch) {
        const bool is_inside = y >= 0 && y < job.height;
        const float* x = job.x + (is_inside ? y : 0) * job.x_row;
        const auto piece_of = [&](const Piece& piece) {
            return is_inside ? S::template put<Step>(S::zero(), x, piece, job.step) : S::zero();
        };
        if (IsShort) {
            S::store_first(to, piece_of(only), int(pitch));
            continue;
        }
        const Piece* piece = job.pieces;
        for (std::int64_t q = 0; q < pitch; q += width, ++piece) {
            const typename S::Reg value = piece_of(*piece);
            if (pitch - q >= width) {
                S::store(to + q, value);
            } else {
                S::store_first(to + q, value, int(pitch - q));
            }
        }
    }
}

template <class S, int Step>
void copy_stepped(const CopyJob& job) {
    if (job.pitch <= S::width) return copy_rows<S, Step, true>(job);
    copy_rows<S, Step, false>(job);
}

template <class S>
void copy(const CopyJob& job) {
    if (job.step == 1) return copy_stepped<S, 1>(job);
    if (job.step == 2) return copy_stepped<S, 2>(job);
    if (job.step == 4) return copy_stepped<S, 4>(job);
    copy_stepped<S, 0>(job);
}

}  // namespace graphc
