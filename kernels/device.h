// What lets one source of an index-loop kernel compile as C++17, with nvcc and with NVRTC.
//
// A file of this folder defines functions of single output elements (GRAPHC_DEVICE); the loops over
// elements are the backends': csrc/kernels on the CPU, a grid on a GPU. It uses no standard library
// but <math.h>'s float functions, which NVRTC has built in, and neither throws nor allocates.
#pragma once

#if defined(__CUDACC__)  // NVRTC defines it too
#define GRAPHC_DEVICE __device__ __forceinline__
#else
#include <math.h>
#define GRAPHC_DEVICE inline
#endif

namespace graphc {

using Index = long long;  // counts elements; NVRTC has no <cstdint>

constexpr float kFloatMax = 3.402823466e+38F;  // FLT_MAX
constexpr int kAxes = 8;                       // as many as core/tensor.h's kMaxRank

GRAPHC_DEVICE Index lesser(Index a, Index b) { return a < b ? a : b; }
GRAPHC_DEVICE Index greater(Index a, Index b) { return a > b ? a : b; }

}  // namespace graphc
