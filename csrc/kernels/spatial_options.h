// SpatialOptions: what convolution, deconvolution and im2col are told, checked against operands.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/kernel.h"
#include "kernels/windows.h"

namespace graphc {

using Extents = std::vector<std::int64_t>;

// Attributes axis, group, size (of x's spatial axes) and, one entry for each spatial axis, kernel,
// stride, pad, dilation; for the gradient of a convolution whose windows leave some of its input
// out, spread (the input's extents). All functions throw Error (GC-A001) for what contradicts.
struct SpatialOptions {
    int axis = 1;
    std::int64_t groups = 1;
    Extents size, kernel, stride, pad, dilation, told_spread;

    explicit SpatialOptions(const Attrs& attrs);

    int spatial() const { return int(size.size()); }
    std::int64_t taps() const;
    // Windows of a convolution along spatial axis i.
    std::int64_t windows(int i) const;
    // Extent of a deconvolution's output along spatial axis i.
    std::int64_t spread(int i) const;
    // Axes of the convolution's sum, with pitches for a dense x and y.
    std::vector<WindowAxis> window_axes() const;
};

// Throws Error (GC-A001, `what` is wrong) unless `holds`.
void require(bool holds, const std::string& what);

// f32, of `dims` after the first `axis` axes.
void require_image(const Spec& spec, int axis, const Extents& dims, const std::string& what);

// Dense f32 of `size` elements.
void require_flat(const Spec& spec, std::int64_t size, const std::string& what);

// Elements from the operand's start to each of its images, which span the axes from `axis` on.
Extents image_offsets(const Spec& spec, int axis);

// How many windows or spatial elements there are, over all axes.
std::int64_t product(const Extents& extents);

// What is done to y after the sum: attributes relu and slope.
struct ActivationOptions {
    Activation activation = Activation::none;
    float slope = 0;

    explicit ActivationOptions(const Attrs& attrs);
};

// An attribute that is absent where it is 0.
bool flag(const Attrs& attrs, const char* name);

}  // namespace graphc
