// A residual is what oneDNN finds in y when it adds to it: laid there first, if it is elsewhere.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/split.h"

namespace graphc::onednn {

inline void lay_residual(const float* residual, float* y, std::int64_t size, int threads) {
    if (residual == y) return;
    constexpr double kNsPerElement = 0.5;
    split(size, threads_for(kNsPerElement * double(size), threads),
          [&](std::int64_t from, std::int64_t to) {
              std::memcpy(y + from, residual + from, std::size_t(to - from) * sizeof(float));
          });
}

}  // namespace graphc::onednn
