// Planes: an (N, C, H, W) operand whose rows have no gaps, seen as N * C planes.
#pragma once

#include <string>

#include "core/tensor.h"
#include "error.h"
#include "strided.h"

namespace graphc {

struct Planes {
    Index samples = 0, channels = 0, height = 0, width = 0;
    Index sample_step = 0, channel_step = 0, pitch = 0;  // in elements

    Planes() = default;

    // Throws Error (GC-A001) for an operand of other axes, or with gaps inside its rows.
    Planes(const Spec& spec, const std::string& kernel) {
        if (spec.rank != 4) throw Error("GC-A001", kernel + " takes operands of 4 axes");
        if (spec.size() > 0 && spec.dims[3] > 1 && spec.strides[3] != 1) {
            throw Error("GC-A001", kernel + " takes operands whose last axis has no gaps");
        }
        samples = spec.dims[0];
        channels = spec.dims[1];
        height = spec.dims[2];
        width = spec.dims[3];
        sample_step = spec.strides[0];
        channel_step = spec.strides[1];
        pitch = spec.strides[2];
    }

    Index count() const { return samples * channels; }
    Index size() const { return count() * height * width; }
    Index offset(Index plane) const {
        return plane / channels * sample_step + plane % channels * channel_step;
    }
    bool has_shape_of(const Planes& other) const {
        return samples == other.samples && channels == other.channels && height == other.height &&
               width == other.width;
    }
};

}  // namespace graphc
