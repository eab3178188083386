// What pooling kernels are told of their windows.
#pragma once

#include <cstdint>
#include <string>

#include "core/attrs.h"
#include "error.h"
#include "pool.h"

namespace graphc {

constexpr Index kFewElements = 64;     // of a window, so that a float holds their sum
constexpr Index kIndexable = 1 << 20;  // elements of a window, so that floats hold their indices
constexpr double kNsPerTap = 0.05, kNsPerWindow = 0.2;

// Windows along H (i = 0) or W (1), by the parameters kernel, stride and pad; `count` of them.
// Throws Error (GC-A001) for numbers whose products overflow.
inline PoolAxis pool_axis(const Attrs& attrs, int i, Index size, Index count) {
    const auto at = [&](const char* name, Index least) {
        const auto& both = attrs.integers(name);
        if (both.size() != 2 || both[i] < least || both[i] > UINT32_MAX) {
            throw Error("GC-A001", std::string("pooling: bad parameter ") + name);
        }
        return Index(both[i]);
    };
    if (count > INT32_MAX) throw Error("GC-A001", "pooling: too many windows along an axis");
    return {size, at("kernel", 1), at("stride", 1), at("pad", 0)};
}

// Has a window so many elements that a float does not hold their sum?
inline bool is_wide_sum(const PoolAxis& rows, const PoolAxis& cols) {
    return rows.kernel > kFewElements / cols.kernel;
}

// Nanoseconds that so many windows take.
inline double pool_work(const PoolAxis& rows, const PoolAxis& cols, Index windows) {
    const double taps =
        double(lesser(rows.kernel, rows.size)) * double(lesser(cols.kernel, cols.size));
    return double(windows) * (kNsPerWindow + kNsPerTap * taps);
}

}  // namespace graphc
