// Windows of a convolution: which element of an image each meets with each tap, and the way back.
#pragma once

#include "device.h"

namespace graphc {

constexpr int kSpatial = 3;

// Along one axis: the image's extent, that of the windows' results, and the window.
struct ConvolutionAxis {
    Index size, out, kernel, stride, pad, dilation;
};

// Elements of an image from a sample, a channel, a pixel to the next; of a weight from an output, a
// channel, a tap.
struct ConvolutionSteps {
    Index sample, channel, pixel;
};

// `channels` and `outputs` are those of a group.
struct ConvolutionShape {
    Index samples, groups, channels, outputs;
    ConvolutionSteps x, y, weight;
    ConvolutionAxis axes[kSpatial];
};

struct Position {
    Index at[kSpatial];
};

GRAPHC_DEVICE Position position(Index i, const Index* extents) {
    Position found = {};
    for (int k = kSpatial - 1; k >= 0; --k) {
        found.at[k] = i % extents[k];
        i /= extents[k];
    }
    return found;
}

// The axes' numbers side by side, and their products.
struct Extents {
    Index size[kSpatial], out[kSpatial], kernel[kSpatial];
    Index area = 1, windows = 1, taps = 1;

    GRAPHC_DEVICE explicit Extents(const ConvolutionShape& shape) {
        for (int k = 0; k < kSpatial; ++k) {
            size[k] = shape.axes[k].size;
            out[k] = shape.axes[k].out;
            kernel[k] = shape.axes[k].kernel;
            area *= size[k];
            windows *= out[k];
            taps *= kernel[k];
        }
    }
};

// Where a window's tap lies in the image, -1 if outside.
GRAPHC_DEVICE Index place_in_image(const ConvolutionShape& shape, const Position& window,
                                   const Position& tap) {
    Index place = 0;
    for (int k = 0; k < kSpatial; ++k) {
        const ConvolutionAxis& axis = shape.axes[k];
        const Index at = window.at[k] * axis.stride - axis.pad + tap.at[k] * axis.dilation;
        if (at < 0 || at >= axis.size) return -1;
        place = place * axis.size + at;
    }
    return place;
}

// The window whose tap lies there in the image, -1 if there is none.
GRAPHC_DEVICE Index window_of(const ConvolutionShape& shape, const Position& pixel,
                              const Position& tap) {
    Index place = 0;
    for (int k = 0; k < kSpatial; ++k) {
        const ConvolutionAxis& axis = shape.axes[k];
        const Index start = pixel.at[k] + axis.pad - tap.at[k] * axis.dilation;
        if (start < 0 || start % axis.stride || start / axis.stride >= axis.out) return -1;
        place = place * axis.out + start / axis.stride;
    }
    return place;
}

}  // namespace graphc
