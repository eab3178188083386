#include "kernels/gemm_types.h"

#include "core/isa.h"

namespace graphc {

Piece make_piece(std::int64_t from, int low, int high) {
    Piece piece;
    piece.from = from;
    piece.low = std::uint8_t(low);
    piece.high = std::uint8_t(high);
    std::uint32_t bits = (1u << high) - (1u << low);
    piece.mask = std::uint16_t(bits);
    bits = (bits | bits << 8) & 0x00ff00ffu;
    bits = (bits | bits << 4) & 0x0f0f0f0fu;
    bits = (bits | bits << 2) & 0x33333333u;
    piece.spread = (bits | bits << 1) & 0x55555555u;
    return piece;
}

const GemmLoops& chosen_loops() {
#if GRAPHC_X86
    switch (chosen_isa()) {
        case Isa::avx512:
            return avx512::loops;
        case Isa::avx2:
            return avx2::loops;
        case Isa::portable:
            break;
    }
#else
    chosen_isa();  // which tells whether GRAPHC_ISA is right
#endif
    return portable::loops;
}

}  // namespace graphc
