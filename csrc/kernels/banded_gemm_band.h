// Parts of a BandedGemm's work, for the files that do it.
#pragma once

#include "kernels/banded_gemm.h"

namespace graphc {

// Rows first .. stop-1 of the windows of an image and group; `planes` is the thread's own.
struct BandedGemm::Band {
    std::size_t image;
    std::int64_t group;
    std::int64_t number, first, stop;
    float* planes;
};

}  // namespace graphc
