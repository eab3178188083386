// oneDNN as one of the sources of kernels, those whose symbols start with "dnnl_". Builds without
// it (GRAPHC_HAS_ONEDNN 0) have none of them, nor any other file of this folder.
#pragma once

#include <string>

namespace graphc::onednn {

#if GRAPHC_HAS_ONEDNN

// The library's version, "3.2.0"; "" in builds without it.
std::string version();

// Channels in a block of a blocked tensor (N, ceil(C / block), H, W, block): 16 for AVX-512, 8 for
// AVX2. oneDNN is bound once per process to the first chosen_isa() asked about that is not the
// portable one; 0 where that is not the one chosen now: then oneDNN has no kernels to offer.
// Throws Error (GC-R004) as chosen_isa() does.
int channel_block();

#else

inline std::string version() { return ""; }
inline int channel_block() { return 0; }

#endif

}  // namespace graphc::onednn
