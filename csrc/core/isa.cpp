#include "core/isa.h"

#include <algorithm>
#include <cstdlib>

#include "error.h"

namespace graphc {

const char* isa_name(Isa isa) {
    switch (isa) {
        case Isa::avx512:
            return "avx512";
        case Isa::avx2:
            return "avx2";
        case Isa::portable:
            break;
    }
    return "portable";
}

Isa best_isa() {
#if GRAPHC_X86
    __builtin_cpu_init();
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool has_avx512 = __builtin_cpu_supports("avx512f") &&
                            __builtin_cpu_supports("avx512vl") &&
                            __builtin_cpu_supports("avx512dq") &&
                            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("bmi2");
    if (has_avx2 && has_avx512) return Isa::avx512;
    if (has_avx2) return Isa::avx2;
#endif
    return Isa::portable;
}

Isa chosen_isa() {
    const char* told = std::getenv("GRAPHC_ISA");
    if (told == nullptr || *told == '\0') return best_isa();
    for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512}) {
        if (std::string(told) == isa_name(isa)) return std::min(isa, best_isa());
    }
    throw Error("GC-R004", "GRAPHC_ISA is '" + std::string(told) + "'",
                "it may be portable, avx2 or avx512");
}

}  // namespace graphc
