// Blocked: an operand (N, ceil(C / B), H, W, B), which holds B channels of a pixel side by side.
// Channels from C on are padding: whoever writes such an operand makes them zero, whatever x holds.
#pragma once

#include <string>

#include "core/kernel.h"
#include "error.h"
#include "kernels/spatial/loops.h"
#include "strided.h"

namespace graphc {

struct Blocked {
    Index samples = 0, channels = 0, blocks = 0, height = 0, width = 0, lanes = 1;
    Index sample_step = 0;  // in elements; a sample has no gaps

    Blocked() = default;

    // Throws Error (GC-A001) for an operand of another form.
    Blocked(const Spec& spec, Index channels, const std::string& kernel, DType dtype = DType::f32)
        : channels(channels), lanes(spec.dims[4]) {
        const bool fits = spec.rank == 5 && spec.dtype == dtype && (lanes == 8 || lanes == 16) &&
                          channels >= 0 &&
                          spec.dims[1] == channels / lanes + (channels % lanes > 0 ? 1 : 0);
        if (!fits) {
            throw Error("GC-A001", kernel + " takes blocks of 8 or 16 of its " +
                                       std::to_string(channels) + " channels, as 5 axes");
        }
        Index dense = 1;
        for (int axis = 4; axis > 0; dense *= spec.dims[axis--]) {
            if (spec.size() > 0 && spec.dims[axis] > 1 && spec.strides[axis] != dense) {
                throw Error("GC-A001", kernel + " takes samples of blocks without gaps");
            }
        }
        samples = spec.dims[0];
        blocks = spec.dims[1];
        height = spec.dims[2];
        width = spec.dims[3];
        sample_step = spec.strides[0];
    }

    Index count() const { return samples * blocks; }
    Index pixels() const { return height * width; }
    Index size() const { return count() * pixels() * lanes; }
    // Floats of one block of channels.
    Index plane() const { return pixels() * lanes; }
    Index offset(Index i) const { return i / blocks * sample_step + i % blocks * plane(); }
    // Channels of the i-th block that are no padding.
    Index used(Index i) const { return lesser(lanes, channels - i % blocks * lanes); }

    // Makes the padding of `count` pixels of the i-th block zero.
    template <class T>
    void clear_padding(Index i, T* pixels, Index count) const {
        const Index from = used(i);
        if (from == lanes) return;
        for (T* pixel = pixels; pixel < pixels + count * lanes; pixel += lanes) {
            for (Index c = from; c < lanes; ++c) pixel[c] = 0;
        }
    }
};

// Loops whose vectors are not wider than a block.
inline const SpatialLoops& blocked_loops(Index lanes) {
    const Isa isa = chosen_isa();
    return spatial_loops(isa == Isa::avx512 && lanes < 16 ? Isa::avx2 : isa);
}

}  // namespace graphc
